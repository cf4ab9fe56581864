"""Real agents under `underglass run`, started as users do: calls, tools and programs equal the
stand-in's ledger, and the agents do what they do unwatched.

Nothing is stopped. An agent that was never seen before is found through its launcher; one that
was, whatever starts it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from probes import procfs
from probes.plan_cache import FILE_NAME, PlanCache
from probes.private_file import FOLDER_VARIABLE
from probes.resolvers import resolve
from tests.agents.runs import CALLING, LONGEST_S, ROWS, Account, Row, account
from tests.e2e.conftest import APIS, UNDERGLASS, Watched, assert_equals_ledger, wait_for
from underglass.demo.standin import StandIn
from underglass.watching import programs_of

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]
MARKING = ["cat", "mark.txt"]  # the last program of the shell command that the model asks for
_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(autouse=True)
def removal() -> Iterator[None]:
    """Waits until the probes of a run are gone: for seconds after it the kernel takes them out
    and lets nobody else put any in, and the next test is not about that."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = set(procfs.descendants(os.getpid()))
    yield
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    left = set(procfs.descendants(os.getpid())) - before
    wait_for(lambda: all(map(_gone, left)), f"the end of {left}")


def _gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def watched(
    row: Row, directory: Path, cache: Path, through: Sequence[str] = ()
) -> tuple[Watched, Account]:
    """Under `underglass run`; `through` starts the agent's command, which follows it."""
    with StandIn("agents", directory / "standin", http2=row.http2) as server:
        run = row.agent.prepare(directory, server)
        store = directory / "store.db"
        done = subprocess.run(
            [UNDERGLASS, "run", "--db", store, "--", *through, *run.command],
            env=run.environment | {FOLDER_VARIABLE: str(cache)},
            cwd=run.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        result = Watched(store, done.returncode, done.stdout, done.stderr)
        return result, account(server, run, done.returncode, done.stdout)


def tls_source(watched: Watched) -> str:
    """The one stack whose plaintext was captured."""
    (source,) = {
        row["source"]
        for row in watched.rows("SELECT * FROM health")
        if row["counter"] == "captured_bytes" and row["value"] and row["source"] != "channel"
    }
    return str(source)


def assert_all_seen(row: Row, watched: Watched, books: Account) -> None:
    """Calls, tools, bytes and the process that the tool call led to."""
    source = tls_source(watched)
    if row.agent.case.api in APIS:
        assert_equals_ledger(watched, books.ledger, source)
        (tool,) = watched.tools
        assert "mark.txt" in str(tool["arguments"])
        assert tool["result_call_id"] is not None
    else:
        sizes = [record.received_bytes + record.sent_bytes for record in books.connections]
        assert watched.health(source, "captured_bytes") == sum(sizes)
        assert watched.health(source, "lost_bytes") == 0
        assert watched.health("stream", "lost_bytes") == 0
    programs = [program["argv"] for program in watched.rows("SELECT argv FROM processes")]
    assert programs.count(MARKING) == 1


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_never_seen_before_and_started_by_its_launcher(
    row: Row, alone: Callable[[Row], Account], tmp_path: Path
) -> None:
    seen, books = watched(row, tmp_path / "cold", tmp_path / "plans")
    assert books.exit_code == 0, seen.stderr[-2000:]
    assert_all_seen(row, seen, books)
    assert books.like(alone(row))


def know(command: Sequence[str], cache: Path) -> None:
    """What an earlier run would have found out about an agent's programs."""
    cache.mkdir(mode=0o700)
    plans = PlanCache(cache / FILE_NAME)
    for path in programs_of(command):
        plans.put(path, resolve(path))
    plans.save()


@pytest.mark.parametrize("row", CALLING, ids=str)
def test_seen_before_and_started_by_a_shell(
    row: Row, alone: Callable[[Row], Account], tmp_path: Path
) -> None:
    """The shell names no file: what was found out about it earlier must do."""
    know(row.agent.case.command(row.agent.folder, ""), tmp_path / "plans")
    shell = ("sh", "-c", '"$0" "$@"; exit $?')
    seen, books = watched(row, tmp_path / "warm", tmp_path / "plans", shell)
    assert books.exit_code == 0, seen.stderr[-2000:]
    assert_all_seen(row, seen, books)
    assert books.like(alone(row))
