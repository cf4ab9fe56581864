"""Case study: three agents share a lock file. Who waited for whom, how long, how often in vain,
as compared with the agents' own account of a known schedule."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from analysis.actors import actors_of
from analysis.conflicts import conflicts
from analysis.lock_waits import blocked_share, lock_waits, waited_ns
from tests.e2e.case_steps import steps_of
from tests.e2e.conftest import PROGRAMS, UNDERGLASS, Watched
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
TOLERANCE = 0.02  # of each time
Schedule = dict[str, list[tuple[float, float]]]
CONTENDED: Schedule = {
    "anna": [(0.0, 2.4), (4.2, 0.2)],
    "bert": [(0.5, 1.5)],
    "carl": [(2.9, 1.3)],
}
"""bert waits for anna, carl for bert, and anna for carl."""
IN_TURN: Schedule = {
    "anna": [(0.0, 0.3), (2.1, 0.2)],
    "bert": [(0.7, 0.3)],
    "carl": [(1.4, 0.3)],
}


@dataclass
class Waited:
    """What one agent says of its waiting for another."""

    tries: int = 0
    seconds: float = 0
    share: float = 0
    pids: set[int] = field(default_factory=set)


def by_their_own_account(directory: Path) -> dict[tuple[str, str], Waited]:
    """(waiter, holder) -> what it waited; the holder is who had the lock at the first try."""
    logs = {name: json.loads((directory / f"{name}.json").read_text()) for name in CONTENDED}
    turns = [(name, turn) for name, log in logs.items() for turn in log["turns"]]
    found: defaultdict[tuple[str, str], Waited] = defaultdict(Waited)
    for waiter, turn in turns:
        if not turn["tries"]:
            continue
        first = turn["tries"][0]
        (holder,) = (name for name, one in turns if one["acquired"] <= first <= one["released"])
        waited = found[waiter, holder]
        waited.tries += len(turn["tries"])
        waited.seconds += turn["acquired"] - first
        waited.share = waited.seconds / (logs[waiter]["ended"] - logs[waiter]["began"])
    return found


def run(
    schedule: Schedule,
    standin: Callable[..., StandIn],
    watched: Callable[..., Watched],
    directory: Path,
) -> tuple[Watched, dict[str, str]]:
    """The run, and whose session each one is."""
    plan = directory / "schedule.json"
    plan.write_text(json.dumps(schedule))
    command = [sys.executable, PROGRAMS / "lock_agents.py", plan, directory]
    result = watched(standin("echo"), command)
    assert result.exit_code == 0, result.stderr
    names = {json.loads((directory / f"{name}.json").read_text())["pid"]: name for name in schedule}
    sessions = result.rows("SELECT session_id, root_pid FROM sessions")
    assert {names.get(row["root_pid"]) for row in sessions} == set(schedule)
    assert len(result.calls) == sum(map(len, schedule.values()))
    return result, {row["session_id"]: names[row["root_pid"]] for row in sessions}


def told(result: Watched, *options: str) -> list[dict[str, Any]]:
    """What `underglass conflicts` says."""
    done = subprocess.run(
        [UNDERGLASS, "conflicts", "--json", "--db", result.store, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_who_waited_for_whom(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path
) -> None:
    result, names = run(CONTENDED, standin, watched, tmp_path)
    expected = by_their_own_account(tmp_path)
    assert set(expected) == {("bert", "anna"), ("carl", "bert"), ("anna", "carl")}
    sessions, processes, files = steps_of(result)
    actors = actors_of(sessions, processes)
    waits = lock_waits(actors, files, processes)
    found = {}
    for wait in waits:
        assert wait.holder is not None
        assert wait.acquired
        assert not wait.about
        found[names[wait.waiter.session_id], names[wait.holder.session_id]] = wait
    assert set(found) == set(expected)
    assert len(waits) == len(expected)
    for pair, wait in found.items():
        waited = expected[pair]
        assert wait.path == str(tmp_path / "build.lock")
        assert wait.tries == waited.tries
        assert waited_ns([wait]) / 1e9 == pytest.approx(waited.seconds, rel=TOLERANCE)
        assert blocked_share([wait]) == pytest.approx(waited.share, rel=TOLERANCE)

    # The same is what the command tells, of all and of each one.
    told_of_all = told(result)
    assert {row["kind"] for row in told_of_all} == {"lock_wait"}
    pairs = {}
    for row in told_of_all:
        (holder,) = (one["id"] for one in row["evidence"] if one["kind"] == "session")
        pairs[names[row["session_id"]], names[holder]] = row
        assert told(result, "--session", row["session_id"]) == [row]
    assert set(pairs) == set(expected)
    for pair, row in pairs.items():
        assert row["count"] == expected[pair].tries
        assert row["waited_ms"] == pytest.approx(expected[pair].seconds * 1e3, rel=TOLERANCE)
        assert row["severity"] in ("info", "warning")
        assert row["first_at"] < row["last_at"]
        blocked = re.search(r"blocked ([\d.]+)% of its time", row["title"])
        assert blocked is not None
        share = float(blocked[1]) / 100
        assert share == pytest.approx(expected[pair].share, rel=TOLERANCE)


def test_agents_that_take_turns_do_not_wait(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path
) -> None:
    result, _ = run(IN_TURN, standin, watched, tmp_path)
    assert by_their_own_account(tmp_path) == {}
    sessions, processes, files = steps_of(result)
    actors = actors_of(sessions, processes)
    taken = [step for step in files if step.exclusive and step.path.endswith("/build.lock")]
    assert sum(step.count for step in taken) == 4  # the lock was seen all the same
    assert lock_waits(actors, files, processes) == []
    assert conflicts(actors, files, (), processes) == []
    assert told(result) == []
