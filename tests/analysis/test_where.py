"""The filter language: what each kind of term finds, and that nothing else reaches the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.columns import CALLS, PROCESSES, RPC, TABLES, TOOLS
from analysis.listed import types_of
from analysis.reading import Reader
from analysis.table_layout import Table
from analysis.where import BadFilter, Term, condition, named_column, parse_terms
from collector.rows import Batch
from collector.store import Store
from tests.collector import store_rows as row
from tests.collector.store_rows import MS, START_NS

NOW_NS = START_NS + 3600 * 1000 * MS  # an hour later
MINUTE = 60_000 * MS
ALL = {"opus", "gpt", "mini", "lost"}
CALL_ROWS = [
    row.call(
        "opus", model="Claude-Opus-4", request_model="claude-opus", host="localhost:8080",
        input_tokens=100_000, cache_read_tokens=90_000, cost_usd=0.5, pid=11, finish_reason=None,
        ended_ns=START_NS + 90_000 * MS,
    ),
    row.call(
        "gpt", session_id="s2", model="gpt-5", request_model="gpt-5", agent="codex",
        started_ns=START_NS + 30 * MINUTE, ended_ns=START_NS + 30 * MINUTE + 250 * MS, pid=12,
        input_tokens=200, cache_read_tokens=None, cost_usd=0.01, first_token_ns=None,
        finish_reason="stop",
    ),
    row.call(
        "mini", session_id="s2", model=None, request_model="gpt-5-mini", agent="codex",
        started_ns=START_NS + 50 * MINUTE, ended_ns=None, status="running", pid=13,
        first_token_ns=None, input_tokens=None, cache_read_tokens=None, cost_usd=None,
        cost_source=None, http_status=None, finish_reason=None,
    ),
    row.call(
        "lost", session_id="s3", model="100%_sure", request_model=None, agent=None,
        started_ns=START_NS + 59 * MINUTE, ended_ns=START_NS + 60 * MINUTE, status="error", pid=14,
        first_token_ns=None, error_type="rate limit", input_tokens=1000, cache_read_tokens=0,
        cost_usd=0.0, http_status=429, finish_reason=None,
    ),
]  # fmt: skip


@contextmanager
def _reading(path: Path) -> Iterator[Reader]:
    with Store.open(path) as store:
        store.write(
            Batch(
                calls=CALL_ROWS,
                tool_calls=[
                    row.tool_call("ok", is_error=False),
                    row.tool_call("bad", is_error=True, arguments='{"path":"/etc/passwd"}'),
                    row.tool_call("open", is_error=None, arguments=None, result_ns=None),
                ],
                processes=[
                    row.process(
                        "sh", comm="sh", pid=20, argv=("/bin/sh", "-c", "make Test"), exit_code=0
                    ),
                    row.process(
                        "killed",
                        comm="sleep",
                        pid=21,
                        argv=("sleep", "9"),
                        exit_code=None,
                        signal=9,
                    ),
                    row.process("forked", pid=22, argv=(), comm="node", exit_code=2),
                ],
            )
        )
        yield Reader.of_store(store)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with _reading(tmp_path_factory.mktemp("store") / "s.db") as opened:
        yield opened


_TYPES: dict[str, dict[str, str]] = {}
_VIEWS = {"calls": "call_id", "tools": "tool_call_id", "processes": "process_key"}


def _found(reader: Reader, text: str, table: Table = CALLS) -> set[str]:
    types = _TYPES.setdefault(table.name, types_of(reader, table))
    asked = condition(text, table, types, NOW_NS)
    sql = f"SELECT {_VIEWS[table.name]} FROM {table.name} WHERE {asked.sql}"
    return {each for (each,) in reader.rows(sql, dict(asked.parameters or {}) or None)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ALL), ("   ", ALL), ("model:", ALL), ("!", ALL), ('""', ALL),
        # in any column
        ("opus", {"opus"}), ("OPUS", {"opus"}), ("codex", {"gpt", "mini"}), ("zzz", set()),
        ('"rate limit"', {"lost"}), ("rate limit", {"lost"}), ("=codex", {"gpt", "mini"}),
        ("=code", set()), ("*sure", {"lost"}), ("12", {"gpt"}), ('"localhost:8080"', {"opus"}),
        # text
        ("model:opus", {"opus"}), ("MODEL:Opus", {"opus"}), ("model:gpt", {"gpt", "mini"}),
        ("model:=gpt-5", {"gpt"}), ("request_model:gpt", {"gpt", "mini"}),
        ("model:gpt*", {"gpt", "mini"}),
        ("model:*-5", {"gpt"}), ("model:%", {"lost"}), ("model:*%_*", {"lost"}),
        ("model:_%", set()),
        ("status:error,running", {"mini", "lost"}), ("status:,error,", {"lost"}),
        ('error:"rate limit"', {"lost"}), ("host:localhost:8080", {"opus"}),
        ("stat:error", {"lost"}),
        # numbers
        ("cost:>0.1", {"opus"}), ("cost:<=0.01", {"gpt", "lost"}), ("cost:0.01", {"gpt"}),
        ("cost:$0.5", {"opus"}), ("cost_usd:0..0.01", {"gpt", "lost"}), ("cost:..0.005", {"lost"}),
        ("cost:0.1..", {"opus"}), ("in:>=100k", {"opus"}), ("in:200,1k", {"gpt", "lost"}),
        ("in:0.1m", {"opus"}), ("input:<1_000", {"gpt"}), ("cost:-1", set()),
        ("cost:..", {"opus", "gpt", "lost"}),
        ("http_status:429", {"lost"}), ("HTTP_STATUS:200", {"opus", "gpt"}),
        # durations, of which a number alone is milliseconds
        ("total:>1m", {"opus"}), ("total:250", {"gpt"}), ("total:200ms..0.3s", {"gpt"}),
        ("total:1m..1h", {"opus", "lost"}), ("ttft:<1s", {"opus"}),
        # shares
        ("cache:>=50%", {"opus"}), ("cache:0%", {"lost"}), ("cache:90000", {"opus"}),
        # times
        ("time:20m", {"mini", "lost"}), ("time:>20m", {"opus", "gpt"}),
        ("time:<20m", {"mini", "lost"}),
        ("time:40m..5m", {"gpt", "mini"}), ("time:..40m", {"opus"}), ("time:5m..", {"lost"}),
        ("time:2025-01-31..", ALL), ("time:>2025-10-09T09:00:00Z", {"gpt", "mini", "lost"}),
        ("time:<=2025-10-09T09:00:00Z", {"opus"}), ("time:2025-10-10", set()),
        # known or not
        ("cost:none", {"mini"}), ("cost:any", ALL - {"mini"}), ("model:none", set()),
        ("agent:none", {"lost"}), ("agent:=none", set()), ("ended_at:none", {"mini"}),
        # flags of the view
        ("complete:yes", ALL), ("complete:false", set()),
        # several, and what is left out
        ("codex model:mini", {"mini"}), ("!codex", {"opus", "lost"}),
        ("!cost:>0", {"mini", "lost"}),
        ("!cost:none !status:error", {"opus", "gpt"}), ("! opus", {"opus"}),
    ],
)  # fmt: skip
def test_what_a_filter_finds_among_calls(reader: Reader, text: str, found: set[str]) -> None:
    assert _found(reader, text) == found


@pytest.mark.parametrize(
    ("table", "text", "found"),
    [
        (TOOLS, "result:error", {"bad"}), (TOOLS, "result:ok", {"ok"}),
        (TOOLS, "result:none", {"open"}),
        (TOOLS, "!result:error", {"ok", "open"}), (TOOLS, "is_error:yes", {"bad"}),
        (TOOLS, "arguments:/etc/passwd", {"bad"}), (TOOLS, "passwd", {"bad"}),
        (TOOLS, "took:none", {"open"}), (TOOLS, 'arguments:"path\\"', set()),
        (PROCESSES, '"/bin/sh -c make"', {"sh"}), (PROCESSES, 'command:"-c make test"', {"sh"}),
        (PROCESSES, "command:=sleep", {"killed"}), (PROCESSES, "command:sleep*9", {"killed"}),
        (PROCESSES, "exit:0", {"sh"}), (PROCESSES, "exit:>0", {"forked"}),
        (PROCESSES, "signal:9", {"killed"}), (PROCESSES, "exit:none", {"killed"}),
        (PROCESSES, "command:node", {"forked"}), (PROCESSES, "pid:20,22", {"sh", "forked"}),
        (PROCESSES, "21", {"killed"}),
    ],
)  # fmt: skip
def test_what_a_filter_finds_elsewhere(
    reader: Reader, table: Table, text: str, found: set[str]
) -> None:
    assert _found(reader, text, table) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modle:opus", "did you mean model?"), ("c:1", "may be several columns"),
        ("localhost:8080", 'in quotes: "localhost:..."'), ("cost:much", "no number for cost"),
        ("cost:1,000,x", "no number"), ("total:5y", "units: ms, s, m, min, h, d"),
        ("total:>", "no number"), ("cost:1..2..3", "no number"), ("cost:50%", "no number"),
        ("time:soon", "not a time"), ("time:>soon", "not a time"), ("complete:maybe", "yes or no"),
        ("x " * 65, "at most 64 terms"), ("model:" + "a," * 70, "at most 64 terms"),
        ("x" * 4001, "at most 4,000 characters"), ("a\0b", "zero bytes"), ("\ud800", "UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_told(reader: Reader, text: str, says: str) -> None:
    with pytest.raises(BadFilter) as raised:
        _found(reader, text)
    assert says in f"{raised.value} {raised.value.hint}"
    assert raised.value.exit_code == 2


def test_terms() -> None:
    assert parse_terms('a !b:=c "d e" f:"g h" =i !"j k') == (
        Term("a"),
        Term("c", "b", inverse=True, exact=True),
        Term("d e"),
        Term("g h", "f"),
        Term("i", exact=True),
        Term("j k", inverse=True),
    )
    assert parse_terms("model: ! =") == ()


def test_columns_are_named_by_label_field_or_beginning() -> None:
    assert named_column("Tool_Sets", TABLES["agents"]) is TABLES["agents"].column("tool sets")
    assert named_column("what_h", TABLES["findings"]).key == "title"
    assert named_column("input", CALLS).key == "input_tokens"
    assert named_column("request_model", CALLS).key == "model"
    assert named_column("writer_comm", RPC).key == "writer_pid"
    for table in TABLES.values():
        for column in table.columns:
            assert named_column(column.label.replace(" ", "_").upper(), table).label == column.label


INJECTIONS = [
    "' OR 1=1 --", "model:'; DROP TABLE llm_call; --", 'model:") OR TRUE --', "$where0", "model:$1",
    "cost:>0) OR (1=1", "cost:1;SELECT", "time:'); ATTACH 'x", "x') UNION SELECT * FROM calls --",
    "model:=' OR ''='", "model:*'*", "model:\\", "model:*\\", "{where}", "status:none) OR (TRUE",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_text_is_never_sql(reader: Reader, text: str) -> None:
    types = types_of(reader, CALLS)
    try:
        asked = condition(text, CALLS, types, NOW_NS)
    except BadFilter:
        return
    assert not any(word in asked.sql for word in ("DROP", "UNION", "1=1", "';"))
    assert _found(reader, text) == set()


_NAMES = st.sampled_from(
    [*(c.label.replace(" ", "_") for c in CALLS.columns), *(c.key for c in CALLS.columns), "stream"]
)
_VALUES = st.one_of(
    st.sampled_from(
        ["none", "any", "gpt", "=gpt-5", "*mini", ">0.1", "<=2s", "1..2", "..3", "10m", ">10m",
         "yes", "error", "50%", "2025-01-31", "0,1", "²", "٣", "1e5", "9" * 400, "999999999w",
         "0001-01-01"]
    ),
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8),
)  # fmt: skip
_TERMS = st.one_of(
    st.builds("{}:{}".format, _NAMES, _VALUES),
    _VALUES,
    st.text(max_size=20).map(lambda text: f'"{text}"'),
)


@settings(max_examples=60, deadline=None)
@given(_TERMS)
@example("²")
@example("cost:>²")
def test_a_term_turned_round_shows_exactly_the_other_rows(reader: Reader, text: str) -> None:
    terms = parse_terms(text)
    turned = parse_terms(f"!{text}")
    if len(terms) != 1 or terms[0].inverse or [each.inverse for each in turned] != [True]:
        return
    try:
        found = _found(reader, text)
    except BadFilter:
        with pytest.raises(BadFilter):
            _found(reader, f"!{text}")
        return
    assert _found(reader, f"!{text}") == ALL - found


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(), st.lists(_TERMS, max_size=4).map(" ".join)))
def test_any_text_is_refused_or_runs(reader: Reader, text: str) -> None:
    try:
        found = _found(reader, text)
    except BadFilter:
        return
    assert found <= ALL
