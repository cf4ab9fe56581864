"""Several captures at once on one store: each call of each is in it, whole and once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.ownership import is_owned
from probes.errors import UnderglassError
from tests.e2e.conftest import (
    UNDERGLASS,
    Record,
    Watched,
    environment,
    lines_of,
    python,
    wait_for,
)
from tests.e2e.watching import while_attached
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Start = Callable[..., StandIn]


class Run:
    """`underglass run` of an agent that makes calls until it is told to end."""

    def __init__(self, server: StandIn, store: Path, name: str) -> None:
        self.store = store
        self._answers = store.with_name(name)
        self.process = subprocess.Popen(
            [UNDERGLASS, "run", "--db", store, "--",
             *python("calls_until_eof.py", str(self._answers), name)],
            env=environment(server),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    @property
    def answered(self) -> list[str]:
        """Ids of the answers that its agent had."""
        return lines_of(self._answers)

    @property
    def owns(self) -> bool:
        owner = is_owned(self.store)[1]
        return owner is not None and (owner.pid, bool(owner.join)) == (self.process.pid, True)

    def go_on(self, calls: int) -> None:
        """Until it has had so many answers more."""
        wanted = len(self.answered) + calls
        wait_for(lambda: len(self.answered) >= wanted, "the agent goes on")

    def tell_to_end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> None:
        """It ends well, and has seen all its calls."""
        self.tell_to_end()
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        assert self.process.wait(60) == 0, said
        assert said.startswith(f"underglass: {len(self.answered)} LLM calls, "), said
        assert "could not be written" not in said

    def kill(self) -> None:
        """Kill the collector; its agent goes on."""
        self.process.kill()
        self.process.wait()


@contextmanager
def ended(*runs: Run) -> Iterator[None]:
    """However the test ends, so do they."""
    try:
        yield
    finally:
        for run in runs:
            run.tell_to_end()
            run.kill()
            assert run.process.stderr is not None
            run.process.stderr.close()


def stored(store: Path) -> list[Record]:
    """The calls that readers are told of; none when nobody answers them."""
    try:
        return Watched(store, 0, "", "").calls
    except UnderglassError:
        return []


def whole(store: Path) -> list[str]:
    """Ids of the answers that are stored completely; each once."""
    ids = [str(call["response_id"]) for call in stored(store) if call["complete"]]
    assert len(ids) == len(set(ids))
    return ids


def test_three_runs_on_one_store(standin: Start, tmp_path: Path) -> None:
    """The first owner of the store ends, the second is killed, the third ends last."""
    server, store = standin("echo", latency_scale=0), tmp_path / "store.db"
    runs = [Run(server, store, name) for name in ("one", "two", "three")]

    def owner() -> Run:
        wait_for(lambda: any(run.owns for run in runs), "one of them owns the store")
        return next(run for run in runs if run.owns)

    with ended(*runs):
        for run in runs:
            run.go_on(1)
        wait_for(lambda: len({call["pid"] for call in stored(store)}) == 3, "all three are read")
        first = owner()
        first.end()
        killed = owner()
        killed.go_on(1)
        killed.kill()
        before = set(whole(store))
        last = owner()
        last.go_on(1)
        wait_for(lambda: last.answered[-2] in whole(store), "readers are answered again")
        last.end()
    assert len({first, killed, last}) == 3
    found = {call["response_id"]: call for call in stored(store) if call["complete"]}
    assert before <= found.keys()
    expected = {*first.answered, *last.answered}
    assert expected <= found.keys()
    assert found.keys() - expected <= set(killed.answered)
    for record in server.ledger():
        if record.response_id in expected:
            call = found[record.response_id]
            assert call["request_bytes"] == record.request_bytes
            assert call["response_bytes"] == record.response_bytes
            assert record.usage is not None
            assert call["output_tokens"] == record.usage.output_tokens
    watched = Watched(store, 0, "", "")
    assert watched.health("openssl", "lost_bytes") == 0
    assert len(stored(store)) - len(found) <= 1  # the call in which the one was killed
    agents = {row["pid"] for row in watched.rows("SELECT pid FROM processes")}
    assert agents == {call["pid"] for call in watched.calls}
    captures = watched.rows("SELECT ended_ns IS NOT NULL AS ended FROM capture")
    assert sorted(row["ended"] for row in captures) == [False, True, True]


@pytest.mark.alone
def test_a_run_while_the_whole_host_is_watched(standin: Start, tmp_path: Path) -> None:
    """Its calls are stored once, by it. When it is killed, the other capture takes its agent."""
    server, store = standin("echo", latency_scale=0), tmp_path / "store.db"
    watched = Watched(store, 0, "", "")
    first, second = [], []

    def work() -> None:
        one = Run(server, store, "one")
        with ended(one):
            one.go_on(1)
            one.end()
            first.extend(one.answered)
        refused = subprocess.run(
            [UNDERGLASS, "attach", "--pid", str(os.getpid()), "--db", store],
            capture_output=True,
            text=True,
        )
        assert refused.returncode == 2
        assert f"pid {os.getpid()} is watched already by pid" in refused.stderr
        two = Run(server, store, "two")
        with ended(two):
            two.go_on(1)
            two.kill()
            later = len(two.answered) + 2
            wait_for(lambda: set(two.answered[later:]) & set(whole(store)) != set(), "it is taken")
            second.extend(two.answered)

    code, said = while_attached(store, ["--all"], work)
    assert code == 0, said
    found = whole(store)
    assert set(first) <= set(found)
    assert set(found) <= {record.response_id for record in server.ledger()}
    processes = watched.rows("SELECT * FROM processes ORDER BY started_at")
    # Of a capture that joins the end is told, although what it does is left out.
    collectors = [row for row in processes if {str(UNDERGLASS), str(store)} <= {*row["argv"]}]
    assert {0, 2} <= {row["exit_code"] for row in collectors}
    assert all(row["ended_at"] is not None for row in collectors)
    (agent,) = (row for row in processes if row["argv"][-1:] == ["one"] and row not in collectors)
    assert agent["exit_code"] == 0
    assert agent["pid"] == stored(store)[0]["pid"]
