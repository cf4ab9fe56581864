"""Work done twice, on calls and reads written by hand."""

from __future__ import annotations

from typing import Any

from analysis.duplicate_work import duplicate_calls, duplicate_reads
from analysis.steps import FileStep, Finding, ToolStep, tool_step
from tests.analysis.acting import S, actor, read, write

A, B, C = actor("a"), actor("b"), actor("c")
LONG = "lines of a report\n" * 20


def call(who: str, at: float, name: str = "search", **fields: Any) -> ToolStep:
    """A call with its result after `took` seconds."""
    took = fields.pop("took", 12.0)
    return tool_step(
        f"{who}{at}{name}",
        name,
        fields.pop("arguments", '{"query": "prices of rice"}'),
        fields.pop("result", LONG),
        session_id=f"session-{who}",
        call_id=f"call-{who}{at}",
        requested_ns=round(at * S),
        result_ns=round((at + took) * S),
        **fields,
    )


def found(*tools: ToolStep, files: tuple[FileStep, ...] = ()) -> list[Finding]:
    return duplicate_calls([A, B, C], tools, files)


def test_a_costly_call_made_twice() -> None:
    first, again = call("a", 0), call("b", 30, arguments='{ "query":"prices of rice" }')
    (finding,) = found(first, again)
    assert (finding.kind, finding.session_id, finding.count) == ("duplicate_work", B.session_id, 1)
    assert finding.severity == "info"
    assert [each.id for each in finding.evidence] == [
        first.tool_call_id,
        A.session_id,
        again.tool_call_id,
    ]
    assert "12.0 s" in finding.title


def test_at_the_same_time_too() -> None:
    assert len(found(call("a", 0), call("b", 1))) == 1


def test_what_differs_is_no_duplicate() -> None:
    assert found(call("a", 0), call("b", 30, arguments='{"query": "other"}')) == []
    assert found(call("a", 0), call("b", 30, name="fetch")) == []
    assert found(call("a", 0), call("b", 30, result=LONG + "and more")) == []
    assert found(call("a", 0), call("b", 30, result=None)) == []
    assert found(call("a", 0), call("a", 30)) == []


def test_cheap_calls_and_failures_do_not_count() -> None:
    assert found(call("a", 0, took=1.0), call("b", 30, took=1.0)) == []
    assert found(call("a", 0, took=20.0), call("b", 30, took=1.0)) == []
    assert found(call("a", 0, is_error=True), call("b", 30, is_error=True)) == []
    sleep = {"name": "bash", "arguments": '{"command": "sleep 30"}'}
    assert found(call("a", 0, **sleep), call("b", 30, **sleep)) == []


def test_after_an_hour_or_an_edit_it_is_done_anew() -> None:
    assert found(call("a", 0), call("b", 2 * 3600)) == []
    edit = call("b", 20, name="Edit", arguments='{"file_path": "/w/a"}', result="done", took=1.0)
    assert found(call("a", 0), edit, call("b", 30)) == []
    assert found(call("a", 0), call("b", 30), files=(write("b", 25, "/w/a"),)) == []
    assert len(found(call("a", 0), call("b", 30), files=(write("b", 40, "/w/a"),))) == 1


def test_many_cheap_calls_are_the_same_work() -> None:
    def explored(who: str, start: float, count: int) -> list[ToolStep]:
        return [
            call(
                who, start + n, name="read_file", took=0.1,
                arguments=f'{{"path": "/w/{n}.py"}}', result=f"{n} {LONG}",
            )
            for n in range(count)
        ]  # fmt: skip

    (finding,) = found(*explored("a", 0, 12), *explored("b", 100, 14))
    assert finding.count == 12
    assert found(*explored("a", 0, 9), *explored("b", 100, 9)) == []


def test_the_same_files_read_a_few_at_a_time() -> None:
    def slowly(who: str, start: float, count: int) -> list[FileStep]:
        return [read(who, start + n, f"/work/{n}.py") for n in range(count)]

    (finding,) = duplicate_reads([A, B], [*slowly("a", 0, 25), *slowly("b", 100, 22)])
    assert (finding.kind, finding.session_id, finding.count) == ("duplicate_work", B.session_id, 22)
    assert duplicate_reads([A, B], [*slowly("a", 0, 25), *slowly("b", 100, 12)]) == []
    assert duplicate_reads([A, B], [*slowly("a", 0, 25), *slowly("b", 7200, 25)]) == []


def test_a_search_sweeps_through_files() -> None:
    def swept(who: str, start: float) -> list[FileStep]:
        return [read(who, start + n / 1000, f"/work/{n}.py") for n in range(500)]

    assert duplicate_reads([A, B], [*swept("a", 0), *swept("b", 100)]) == []


def test_files_of_the_system_are_nobodys_work() -> None:
    files = [read(who, n, f"/usr/lib/{n}.so") for who in "ab" for n in range(100)]
    assert duplicate_reads([A, B], files) == []
