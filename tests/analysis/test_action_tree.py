"""The tree of actions: what stands below what, folding, filters; on a store and on hostile rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.action_nodes import Key, Line, Loaded, TreeSession
from analysis.action_reading import FEW_FILES, TreeQuestion
from analysis.action_tree import MOST_LINES, fold_key, tree_lines
from analysis.process_tree import ProcessTree
from analysis.reading import open_reader
from analysis.steps import ProcessStep
from analysis.where import BadFilter
from tests.acted_store import AGENT, CAT, SHELL, acted_store

SESSION: Key = ("session", "s1")
BASH: Key = ("tool", "c1 t1")
Asked = Callable[..., tuple[Line, ...]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return acted_store(tmp_path_factory.mktemp("tree") / "store.db")


@pytest.fixture
def lines(path: Path) -> Iterator[Asked]:
    def asked(*opened: Key, **more: object) -> tuple[Line, ...]:
        return TreeQuestion(opened=frozenset(opened), **more).read(reader)  # type: ignore[arg-type]

    with open_reader(path) as reader:
        yield asked


def drawn(found: tuple[Line, ...]) -> list[tuple[int, str]]:
    return [(line.depth, line.label) for line in found]


def test_only_what_is_open_is_there(lines: Asked) -> None:
    closed = lines()
    assert drawn(closed) == [
        (0, "claude-code s1"),
        (1, "Bash cat notes.txt"),
        (1, "Read /src/plan.md"),
        (1, "by itself"),
    ]
    assert [line.open for line in closed] == [True, False, False, False]
    bash = closed[1]
    assert bash.note == "error 2.00s, 2 programs, 10 files, 1 connection"
    assert (bash.style, bash.marked, bash.id) == ("bad", True, "t1")
    assert drawn(lines(closed=frozenset({SESSION}))) == [(0, "claude-code s1")]
    assert drawn(lines(BASH))[1:3] == [(1, "Bash cat notes.txt"), (2, "/bin/sh -c cat notes.txt")]


def test_processes_nest_and_files_fold(lines: Asked) -> None:
    found = lines(BASH, ("process", SHELL), ("process", CAT))
    below = [(line.depth, line.label, line.note) for line in found if line.depth > 1]
    assert below == [
        (2, "/bin/sh -c cat notes.txt", "exit 0, 1.80s, command"),
        (3, "cat notes.txt", "exit 1, 200ms, 1 sensitive file, 10 files, 1 connection"),
        (4, "write /src/out", "22 times"),
        (4, "read /src/notes.txt", "5 times"),
        (4, "read /src/more.txt", "6 times"),
        (4, "read /src/␛[2J[bold]odd", "7 times"),
        (4, "read /home/u/.ssh/id_rsa", "ssh_key, 8 times"),
        (4, "… 5 more read", ""),
        (4, "connect files.example:443", "203.0.113.9"),
    ]
    fold = next(line for line in found if line.kind == "more")
    assert fold.key == fold_key(CAT, "read")
    assert fold.open is False
    opened = lines(BASH, ("process", SHELL), ("process", CAT), fold.key)
    assert len([line for line in opened if line.label.startswith("read ")]) == FEW_FILES + 5
    assert "… 5 more read" not in {line.label for line in opened}
    gone = next(line for line in opened if line.label == "read /src/gone")
    assert (gone.note, gone.marked) == ("ENOENT, 21 times", False), "programs look for files"


def test_a_file_that_the_agent_itself_read_stands_below_the_tool_call(lines: Asked) -> None:
    found = lines(("tool", "c1 t2"))
    assert [(line.label, line.note) for line in found if line.kind == "file"] == [
        ("read /src/plan.md", "path, 23 times")
    ]


def test_what_nobody_asked_for_is_marked(lines: Asked) -> None:
    found = lines(("own", "s1"), ("process", AGENT))
    agent = next(line for line in found if line.kind == "process")
    assert agent.label == "node agent.js"
    assert agent.note.startswith("agent, ")
    tracker = next(line for line in found if line.kind == "connection")
    assert tracker.label == "connect tracker.example:443"
    assert "unasked" in tracker.note
    assert (tracker.style, tracker.marked) == ("bad", True)
    assert tracker.record["unasked"] is True


def test_a_filter_shows_what_fits_and_what_leads_there(lines: Asked) -> None:
    assert drawn(lines(where="id_rsa")) == [
        (0, "claude-code s1"),
        (1, "Bash cat notes.txt"),
        (2, "/bin/sh -c cat notes.txt"),
        (3, "cat notes.txt"),
        (4, "read /home/u/.ssh/id_rsa"),
    ]
    assert {line.kind for line in lines(where="kind:connection")} >= {"connection"}
    assert "file" not in {line.kind for line in lines(where="kind:connection")}
    assert [line.label for line in lines(where="note:unasked")][-1] == "connect tracker.example:443"
    assert "read /usr/share/b" in {line.label for line in lines(where="share/b")}, "a folded one"
    assert "Bash cat notes.txt" not in {line.label for line in lines(where="tracker !Bash")}
    assert lines(where="nowhere") == ()
    with pytest.raises(BadFilter, match="bogus"):
        lines(where="bogus:1")


def test_everything_but_what_was_closed(lines: Asked) -> None:
    found = lines(everything=True)
    assert {line.kind for line in found} == {
        *("session", "tool", "own", "process", "file", "connection", "more")
    }  # fmt: skip
    less = lines(everything=True, closed=frozenset({BASH}))
    assert len([line for line in found if line.kind == "process"]) == 3
    assert len([line for line in less if line.kind == "process"]) == 1
    assert drawn(lines(session_id="s1")) == drawn(lines())
    assert lines(session_id="gone") == ()


def test_rows_that_nest_without_end_are_cut() -> None:
    session = TreeSession("s1", None, None, None, 0, 0)
    chain = [step(pid, pid - 1) for pid in range(1, 500)]
    ring = [
        ProcessStep(f"b:{pid}:0", pid, other, (), None, 0, 5, "s1")
        for pid, other in ((1001, 1002), (1002, 1001))
    ]
    roots = [node for node in ProcessTree([*chain, *ring]).nodes if node.parent is None]
    found = tree_lines(Loaded([session], forests={"s1": roots}), lambda key: True)
    assert max(line.depth for line in found) < 50
    assert "… further levels" in {line.label for line in found}
    many = [TreeSession(f"s{number}", None, None, None, 0, 0) for number in range(MOST_LINES)]
    found = tree_lines(Loaded(many), lambda key: True)
    assert len(found) == MOST_LINES
    assert found[-1].label == "… more than can be shown here"


def test_a_fork_that_did_nothing_is_left_out_and_an_exec_is_told() -> None:
    session = TreeSession("s1", "agent", None, 7, 0, 0)
    steps = [
        step(7, 1, "agent"),
        step(8, 7),
        ProcessStep("b:9:9", 9, 7, ("env", "make"), None, 0, 9, "s1", ended_ns=10),
        ProcessStep("b:9:9:1", 9, 7, ("make",), None, 0, 10, "s1", signal=9),
        step(10, 7),
    ]
    roots = [node for node in ProcessTree(steps).nodes if node.parent is None]
    loaded = Loaded([session], forests={"s1": roots}, touched={"b:10:10": (2, 0, 0)})
    found = tree_lines(loaded, lambda key: True)
    assert [(line.label, line.note, line.marked) for line in found[2:]] == [
        ("agent", "agent", False),
        ("env make → make", "signal 9", True),
        ("[10]", "2 files", False),
    ]


def step(pid: int, ppid: int, *argv: str) -> ProcessStep:
    return ProcessStep(f"b:{pid}:{pid}", pid, ppid, argv, None, 0, pid, "s1")
