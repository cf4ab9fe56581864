"""Columns, their text, and which of them fit."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import cells
from analysis.cells import UNKNOWN, Cell
from analysis.columns import CALLS, HEALTH, SESSIONS, TABLES
from analysis.steps import Finding
from analysis.table_layout import GAP, Table, fit


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_what_is_not_known_is_a_dash_in_every_column(table: Table) -> None:
    row = dict.fromkeys(table.fields)
    for column in table.columns:
        assert column.cell(row) == UNKNOWN, column.key


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_every_column_is_described_and_its_label_fits(table: Table) -> None:
    columns = table.columns
    assert len({column.key for column in columns}) == len(columns)
    for column in columns:
        assert column.description.endswith(".")
        assert len(column.label) <= column.width


def test_fields_of_findings_are_those_of_their_records() -> None:
    known = {field.name.removesuffix("_ns") for field in dataclasses.fields(Finding)}
    assert set(TABLES["findings"].fields) <= known


@given(st.sampled_from(list(TABLES.values())), st.integers(1, 300))
def test_columns_fit_and_the_important_stay(table: Table, width: int) -> None:
    columns = table.columns
    fitted = fit(columns, width)
    taken = sum(each.width + GAP for each in fitted) - GAP
    assert len(fitted) == 1 or taken <= width
    kept = [each.column for each in fitted]
    assert kept == [column for column in columns if column in kept], "in declared order"
    left_out = [column.priority for column in columns if column not in kept]
    assert max(column.priority for column in kept) <= min(left_out, default=9)
    for each in fitted:
        assert each.width <= max(each.column.width, each.column.max_width, width)


def test_spare_room_goes_to_columns_that_can_use_it() -> None:
    model = CALLS.column("model")
    assert model is not None
    wide = {each.column.key: each.width for each in fit(CALLS.columns, 400)}
    assert set(wide) == {column.key for column in CALLS.columns}
    assert wide["model"] == model.max_width
    assert wide["status"] == 10


def test_a_column_is_found_by_key_and_by_label() -> None:
    assert CALLS.column("ttft_ms") is CALLS.column("TTFT")
    assert CALLS.column("nothing") is None


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0ms"), (999.4, "999ms"), (999.6, "1.00s"), (9994, "9.99s"), (9996, "10.0s"),
     (59_940, "59.9s"), (59_960, "1m00s"), (125_000, "2m05s"), (10_920_000, "3h02m")],
)  # fmt: skip
def test_durations(ms: float, text: str) -> None:
    assert cells.duration(ms) == Cell(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (9994, "9.99k"), (9996, "10.0k"), (99_960, "100k"),
     (999_499, "999k"), (999_500, "1.00M"), (12_345_678, "12.3M"), (2 * 10**9, "2.00G")],
)  # fmt: skip
def test_tokens_in_five_characters(value: int, text: str) -> None:
    assert cells.tokens(value) == Cell(text)


@given(st.integers(0, 10**14))
def test_tokens_never_need_more(value: int) -> None:
    assert len(cells.tokens(value).text) <= 7
    assert value >= 10**12 or len(cells.tokens(value).text) <= 5


def test_costs() -> None:
    assert cells.dollars(0.0126).text == "$0.0126"
    assert cells.dollars(0.00001).text == "<$0.0001"
    assert cells.dollars(0.0).text == "$0.0000"
    assert cells.dollars(1234.567).text == "$1,234.57"
    assert cells.call_cost(None, "unpriced") == Cell("unpriced", "warn")
    assert cells.call_cost(None, None) == UNKNOWN
    assert cells.total_cost(1.5, 2) == Cell("$1.5000+", "warn")
    assert cells.total_cost(None, 2).text == "unpriced"


def test_shares_of_nothing_are_not_known() -> None:
    assert cells.share(900, 1000).text == "90%"
    assert cells.share(0, 1000) == Cell("0%", "dim")
    assert cells.share(None, 1000) == cells.share(10, None) == cells.share(0, 0) == UNKNOWN


def test_losses_are_bad_and_captures_are_not() -> None:
    value = HEALTH.column("value")
    assert value is not None
    row = {"source": "openssl", "counter": "lost_bytes", "cause": "", "value": 5}
    assert value.cell(row) == Cell("5", "bad")
    assert value.cell(row | {"value": 0}) == Cell("0", "dim")
    assert value.cell(row | {"counter": "captured_bytes"}) == Cell("5")


def test_times_from_rows_and_from_json_are_the_same() -> None:
    moment = datetime.datetime(2025, 10, 9, 8, 53, 20, 123456, tzinfo=datetime.UTC)
    started = SESSIONS.column("started_at")
    assert started is not None
    assert started.format(moment) == started.format("2025-10-09T08:53:20.123456Z")


@given(st.text())
def test_no_cell_holds_what_a_terminal_obeys(text: str) -> None:
    for cell in (cells.plain(text), cells.plain([text]), cells.word(text)):
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in cell.text)


def test_escapes_become_visible() -> None:
    assert cells.printable("a\x1b[2J\r\nb\tc\u202e") == "a␛[2J\nb\tc\ufffd"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "~0"), (950, "~950"), (999, "~999"), (1000, "~1.0k"), (9_949, "~9.9k"),
        (9_950, "~10k"), (12_345, "~12k"), (999_499, "~999k"), (999_500, "~1.0M"),
        (45_600_000, "~46M"), (10**15, "huge"), (None, "–"),
    ],
)  # fmt: skip
def test_estimated_tokens_are_short_and_marked(value: int | None, text: str) -> None:
    assert cells.estimated_tokens(value).text == text
    assert len(text) <= 5


def test_estimates_are_marked_where_they_are() -> None:
    assert cells.input_tokens(1200, "estimated").text == "~1.2k"
    assert cells.input_tokens(1200, "output_estimated").text == "1.20k"
    assert cells.output_tokens(1200, "output_estimated").text == "~1.2k"
    assert cells.output_tokens(1200, "reported").text == "1.20k"
    assert cells.partly_estimated(1200, 1).text == "~1.2k"
    assert cells.partly_estimated(1200, 0).text == "1.20k"
    assert cells.call_cost(0.0126, "estimated:genai-prices/0.2.3").text == "~$0.0126"
    assert cells.call_cost(0.0126, "genai-prices/0.2.3").text == "$0.0126"
    assert cells.call_cost(None, "unpriced").text == "unpriced"
    assert cells.total_cost(0.0126, 2, 1).text == "~$0.0126+"
    assert cells.total_cost(0.0126, 0, 1).text == "~$0.0126"
    assert cells.total_cost(None, 0, 1) == UNKNOWN
