from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.database import attach, run
from collector.http_connection import HttpConnection
from collector.llm import registry
from collector.llm.anthropic_messages import AnthropicMessages, AnthropicResponse
from collector.llm.model import LlmRequest, Usage
from collector.recording import RecordingFull, RecordingReader
from collector.redaction import Redactor
from collector.redecode import NothingReadable, Redecoded, captures_of, redecode
from collector.replacement import Replacement
from collector.store import Store
from collector.store_errors import StoreWriteFailed
from collector.tables import TABLES
from tests.collector.captures import (
    Tables,
    everything,
    later_capture,
    record,
    replayed,
    tables_of,
)
from tests.frames import INFO, SALT

Cripple = Callable[[pytest.MonkeyPatch], None]


def again(store: Path, recording: Path, **options: Any) -> Redecoded:
    with Store.open(store) as opened:
        return redecode(opened, recording, Redactor(SALT), version="0.2.0", **options)


def stored_sql(store: Path, sql: str) -> None:
    with Store.open(store) as opened:
        opened.transact(lambda connection: run(connection, sql))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded") / "day.uglass", everything())


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> Tables:
    """What decoding at once gives."""
    store = tmp_path_factory.mktemp("right") / "right.db"
    return tables_of(replayed(store, recording))


# Decoders as an earlier version might have had them


def without_openai(patch: pytest.MonkeyPatch) -> None:
    apis = tuple(api for api in registry.APIS if not api.name.startswith("openai."))
    patch.setattr(registry, "APIS", apis)
    patch.setattr(registry, "SOCKETS", ())


def without_http2(patch: pytest.MonkeyPatch) -> None:
    decided = HttpConnection._decided

    def decided_otherwise(self: HttpConnection, verdict: str, ktime_ns: int) -> None:
        decided(self, "http2_unread" if verdict == "http2" else verdict, ktime_ns)

    patch.setattr(HttpConnection, "_decided", decided_otherwise)


def without_any(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(registry, "APIS", ())
    patch.setattr(registry, "SOCKETS", ())


def with_other_messages(patch: pytest.MonkeyPatch) -> None:
    """Messages, tools and sessions come out otherwise, and so does all that hangs on them."""
    parse = AnthropicMessages.parse_request

    def parse_otherwise(self: AnthropicMessages, head: Any, body: bytes) -> LlmRequest | None:
        request = parse(self, head, body)
        if request is None:
            return None
        messages = tuple({"other": message} for message in request.messages[-1:])
        return replace(
            request, request_model="other", messages=messages, tools=({"other": True},),
            tool_results=(),
        )  # fmt: skip

    patch.setattr(AnthropicMessages, "parse_request", parse_otherwise)


def with_other_numbers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AnthropicResponse, "_usage", lambda _: Usage(input_tokens=1))


CRIPPLES = [without_openai, without_http2, without_any, with_other_messages, with_other_numbers]


def crippled(store: Path, cripple: Cripple, *recordings: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        cripple(patch)
        return replayed(store, *recordings)


# The rows are those of decoding at once


@pytest.mark.parametrize("cripple", CRIPPLES)
def test_redecoding_gives_what_decoding_at_once_gives(
    cripple: Cripple, recording: Path, right: Tables, tmp_path: Path
) -> None:
    store = crippled(tmp_path / "s.db", cripple, recording)
    assert tables_of(store)["llm_call"] != right["llm_call"]
    for _ in range(2):
        done = again(store, recording)
        assert tables_of(store) == right
        assert done.change.calls_after == len(right["llm_call"])
        assert done.change.covers_all
        assert (done.damage, done.frames) == (None, len(everything()))
    assert (done.change.added, done.change.gone, done.change.kept) == ({}, 0, 0)
    assert done.change.changed_models == done.change.changed_otherwise == 0


def test_every_table_is_put_to_the_test(right: Tables) -> None:
    only_live = ["running_answer"]
    assert [name for name, rows in right.items() if not rows] == only_live
    columns = next(table.schema.names for table in TABLES if table.name == "llm_call")
    spoken = {row[columns.index("protocol")] for row in right["llm_call"]}
    assert spoken == {"http/1.1", "http/2", "websocket"}


def test_what_changed_is_told(recording: Path, right: Tables, tmp_path: Path) -> None:
    total = len(right["llm_call"])
    columns = next(table.schema.names for table in TABLES if table.name == "llm_call")
    by_api = Counter(row[columns.index("api")] for row in right["llm_call"])
    store = crippled(tmp_path / "s.db", without_openai, recording)
    change = again(store, recording).change
    openai = {api: number for api, number in by_api.items() if api.startswith("openai.")}
    assert (change.calls_before, change.calls_after) == (total - sum(openai.values()), total)
    assert (change.added, change.gone) == (openai, 0)
    of_anthropic = by_api["anthropic.messages"]
    change = again(crippled(tmp_path / "m.db", with_other_messages, recording), recording).change
    assert (change.added, change.changed_models, change.changed_usage) == ({}, of_anthropic, 0)
    change = again(crippled(tmp_path / "n.db", with_other_numbers, recording), recording).change
    assert change.changed_models == 0
    assert change.changed_usage == of_anthropic > change.changed_cost > 0


def test_calls_that_no_longer_are_calls_go(recording: Path, tmp_path: Path) -> None:
    store = replayed(tmp_path / "s.db", recording)
    with pytest.MonkeyPatch.context() as patch:
        without_any(patch)
        expected = tables_of(replayed(tmp_path / "none.db", recording))
        change = again(store, recording).change
    assert (change.calls_after, change.gone) == (0, change.calls_before)
    assert tables_of(store) == expected


@pytest.mark.parametrize("cripple", CRIPPLES)
def test_other_captures_keep_what_they_share(
    cripple: Cripple, recording: Path, tmp_path: Path
) -> None:
    info, captured = later_capture()
    other = record(tmp_path / "later.uglass", captured, info)
    right = tables_of(replayed(tmp_path / "right.db", recording, other))
    store = crippled(tmp_path / "s.db", cripple, recording)
    replayed(store, other)
    again(store, recording)
    assert tables_of(store) == right


def test_rows_of_stores_without_capture_ids(recording: Path, right: Tables, tmp_path: Path) -> None:
    store = crippled(tmp_path / "s.db", without_openai, recording)
    stored_sql(store, "UPDATE llm_call SET capture_id = NULL")
    again(store, recording)
    assert tables_of(store) == right


def test_a_recording_of_no_stored_capture_is_added(
    recording: Path, right: Tables, tmp_path: Path
) -> None:
    store = tmp_path / "s.db"
    change = again(store, recording).change
    assert change.calls_before == 0
    assert sum(change.added.values()) == change.calls_after == len(right["llm_call"])
    assert tables_of(store) == right


def test_a_dry_run_tells_the_same_and_changes_nothing(recording: Path, tmp_path: Path) -> None:
    store = crippled(tmp_path / "s.db", with_other_messages, recording)
    before = tables_of(store)
    told = again(store, recording, dry_run=True)
    assert tables_of(store) == before
    assert told == again(store, recording)


def test_what_health_says_of_the_raw_data_stays(
    recording: Path, right: Tables, tmp_path: Path
) -> None:
    store = crippled(tmp_path / "s.db", without_openai, recording)
    row = (INFO.capture_id, "raw_data", "unkept_bytes", "size_limit", 7)
    stored_sql(store, f"INSERT INTO health_counter VALUES {row!r}")
    again(store, recording)
    assert row in tables_of(store)["health_counter"]


# Raw data that does not hold all of the capture


def cut_short(tmp_path: Path, frames: int) -> Path:
    return record(tmp_path / "short.uglass", everything()[:frames])


def torn(tmp_path: Path, frames: int) -> Path:
    short = cut_short(tmp_path, frames)
    short.write_bytes(short.read_bytes()[:-3])
    return short


def by_id(tables: Tables) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row for row in tables["llm_call"]}


@pytest.mark.parametrize("shorten", [cut_short, torn])
@pytest.mark.parametrize("cripple", [with_other_messages, None])
@pytest.mark.parametrize("part", [0.3, 0.97])
def test_no_stored_call_is_lost_to_raw_data_cut_short(
    shorten: Any, cripple: Cripple | None, part: float, recording: Path, right: Tables,
    tmp_path: Path,
) -> None:  # fmt: skip
    store = tmp_path / "s.db"
    if cripple is None:
        replayed(store, recording)
    else:
        crippled(store, cripple, recording)
    before = by_id(tables_of(store))
    short = shorten(tmp_path, int(len(everything()) * part))
    done = again(store, short)
    assert (done.damage is not None) == (shorten is torn)
    assert not done.change.covers_all
    assert done.change.gone == 0
    found = tables_of(store)
    assert before.keys() <= by_id(found).keys()
    whole = by_id(right)
    for call_id, row in by_id(found).items():
        assert row in (before.get(call_id), whole.get(call_id)) or call_id not in before
    if cripple is None:  # what was right stays so, tool results from behind the cut included
        assert found == right
    assert {row[1] for row in found["message_node"] if row[1]} <= {
        row[0] for row in found["message_node"]
    }


def test_force_takes_raw_data_for_the_whole(recording: Path, tmp_path: Path) -> None:
    store = replayed(tmp_path / "s.db", recording)
    short = cut_short(tmp_path, 40)
    expected = tables_of(replayed(tmp_path / "short.db", short))
    change = again(store, short, force=True).change
    assert change.gone == change.calls_before - change.calls_after > 0
    assert tables_of(store) == expected


def test_raw_data_without_one_frame_changes_nothing(recording: Path, tmp_path: Path) -> None:
    store = replayed(tmp_path / "s.db", recording)
    before = tables_of(store)
    empty = record(tmp_path / "empty.uglass", [])
    with pytest.raises(NothingReadable, match="left as it is"):
        again(store, empty, force=True)
    assert tables_of(store) == before


# Whatever ends it in the middle


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("step", ["_take_away", "_forget_unneeded"])
def test_a_failure_leaves_the_store_as_it_was(
    error: type[BaseException], step: str, recording: Path, right: Tables, tmp_path: Path
) -> None:
    store = crippled(tmp_path / "s.db", with_other_messages, recording)
    before = tables_of(store)
    with Store.open(store) as opened, pytest.MonkeyPatch.context() as patch:
        done = getattr(Replacement, step)

        def fail(self: Replacement) -> None:
            done(self)
            raise error("in the middle")

        patch.setattr(Replacement, step, fail)
        with pytest.raises(error):
            redecode(opened, recording, Redactor(SALT), version="0.2.0")
        assert list(tmp_path.glob("*.redecode-*")) == []
    assert tables_of(store) == before
    again(store, recording)
    assert tables_of(store) == right


def test_what_duckdb_refuses_leaves_the_store_as_it_was(recording: Path, tmp_path: Path) -> None:
    store = crippled(tmp_path / "s.db", without_openai, recording)
    before = tables_of(store)
    with Store.open(store) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Replacement, "_forget_unneeded", lambda self: run(self._store, "SELECT error('no')")
        )
        with pytest.raises(StoreWriteFailed, match="no"):
            redecode(opened, recording, Redactor(SALT), version="0.2.0")
        assert captures_of(opened)[0].capture_id == INFO.capture_id
    assert tables_of(store) == before


def test_what_a_killed_process_left_is_removed(recording: Path, tmp_path: Path) -> None:
    left = tmp_path / "s.db.redecode-abc"
    left.mkdir()
    (left / "decoded.db").write_bytes(b"x")
    again(tmp_path / "s.db", recording)
    assert not left.exists()


# The bound of a recording


def test_a_recording_ends_at_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "limited.uglass"
    with pytest.raises(RecordingFull):
        record(path, everything(), limit_bytes=4000)
    assert path.stat().st_size <= 4000
    reader = RecordingReader(path)
    frames = list(reader.frames())
    assert frames == [Redactor(SALT).frame(one) for one in everything()[: len(frames)]]
    assert reader.damage is None
    assert frames


def test_captures_tell_who_decoded_them(tmp_path: Path, recording: Path) -> None:
    def told() -> tuple[Any, ...]:
        connection = attach(store, writing=False)
        columns = "raw_path, raw_bytes, raw_state, decoded_by, decoded_at IS NULL"
        ((*row,),) = run(connection, f"SELECT {columns} FROM captures")
        connection.close()
        return tuple(row)

    store = replayed(tmp_path / "s.db", recording)
    assert told() == (None, None, None, "0.1.0", False)
    stored_sql(store, "UPDATE capture SET raw_path = '/x', raw_bytes = 5, raw_state = 'whole'")
    again(store, recording)
    assert told() == ("/x", 5, "whole", "0.2.0", False)
    replayed(store, recording)
    assert told() == ("/x", 5, "whole", "0.1.0", False)
