from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.loops import exact_repeats, find_loops

DOCS = Path(__file__).parents[2] / "docs" / "detectors.md"


def call(tool: str, arguments: Any, result: Any = None, **more: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments, "result": result, **more}


READ = call("read", {"path": "a"}, "one")


def test_the_example_in_the_docs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "example", "exec"), {})
    assert [f"# {line}" for line in printed.getvalue().splitlines()] == [
        line for line in code.splitlines() if line.startswith("# ")
    ]
    assert printed.getvalue()


def test_a_plain_list() -> None:
    (finding,) = find_loops([call("ls", {}, "a"), READ, READ, READ])
    assert (finding.kind, finding.count, finding.severity) == ("repeat", 3, "warning")
    assert [each.id for each in finding.evidence] == ["1", "2", "3"]
    assert finding.session_id is None
    assert finding.first_at_ns is None
    assert finding.last_at_ns is None
    assert finding.wasted_tokens is None
    assert finding.wasted_usd is None


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([], []),
        ([READ, READ], []),
        ([READ, call("grep", "x", "y")] * 3, [("cycle", 3)]),
        ([call("read", {"path": "a"}, n) for n in range(5)], []),
        ([call("read", {"path": "a"})] * 5, []),
        ([call("read", {"path": "a"}, "no", is_error=True)] * 3, [("error_repeat", 3)]),
        ([call("bash", {"command": "sleep 5"}, "")] * 3, [("polling", 3)]),
        ([call("read", None, {"lines": ["x"]})] * 3, [("repeat", 3)]),
    ],
)
def test_what_is_found(calls: list[dict[str, Any]], found: list[tuple[str, int]]) -> None:
    assert [(finding.kind, finding.count) for finding in find_loops(calls)] == found


def test_exact_repeats() -> None:
    assert exact_repeats([]) == exact_repeats([READ]) == []
    calls = [
        READ,
        READ,
        {"tool": "read", "arguments": '{ "path": "a" }'},
        call("read", {"path": "a"}, "two"),
        call("read", {"path": "a", "limit": None}, "three"),
        call("write", {"path": "a"}, "three"),
    ]
    assert exact_repeats(calls) == [True, True, True, False, False]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["tool", "arguments", "result", "is_error"]), JSON),
        max_size=6,
    )
)
def test_never_raises(calls: list[dict[str, Any]]) -> None:
    assert len(find_loops(calls)) <= len(calls)
    assert len(exact_repeats(calls)) == max(0, len(calls) - 1)
