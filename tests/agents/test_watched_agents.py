"""Real, unmodified agents under real probes: all of their model traffic, and the agents as ever.

In: agents that are installed (see `agents`). Three ways of meeting one: never seen before and
stopped until it is hooked; never seen before and started as its user does, through whatever
launcher it has; seen before and started by something that names nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from probes.events import Source
from probes.plan_cache import FOLDER_VARIABLE
from tests.agents.agents import MARK, Installed, Run, installed, outline
from tests.e2e.conftest import APIS, UNDERGLASS, Watched, assert_equals_ledger
from tests.e2e.raw_capture import RawConnection, RawProbe
from underglass.demo.ledger import ConnectionRecord, LedgerRecord
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]
LONGEST_S = 120
HTTP2_AGENTS = frozenset(("codex",))  # the others offer HTTP/1.1 alone
MARKING = ["cat", "mark.txt"]  # the last program of the shell command that the model asks for


@dataclass(frozen=True)
class Row:
    """An agent, and whether the stand-in offers HTTP/2 to it: off or auto."""

    agent: Installed
    http2: str

    def __str__(self) -> str:
        return f"{self.agent.folder.name}-http2-{self.http2}"


ROWS = [
    Row(agent, http2)
    for agent in installed()
    for http2 in (("off", "auto") if agent.case.name in HTTP2_AGENTS else ("off",))
]
CALLING = [row for row in ROWS if row.http2 == "off"]


@dataclass(frozen=True)
class Account:
    """What the stand-in says of one run, and how the agent ended."""

    ledger: list[LedgerRecord]
    connections: list[ConnectionRecord]
    exit_code: int
    marked: bool
    said: bool

    def like(self, other: Account) -> bool:
        """Did the agent do the same in both runs?"""
        mine, others = (
            (one.exit_code, one.marked, one.said, outline(one.ledger)) for one in (self, other)
        )
        return mine == others


def account(server: StandIn, run: Run, exit_code: int, stdout: str) -> Account:
    """Ends the stand-in, so that its books are whole."""
    server.stop()
    mark = run.work / "mark.txt"
    return Account(
        server.ledger(),
        [record for record in server.connections() if record.received_bytes],
        exit_code,
        mark.exists() and mark.read_text() == MARK,
        "The mark is in mark.txt." in stdout,
    )


def unwatched(row: Row, directory: Path) -> Account:
    with StandIn("agents", directory / "standin", http2=row.http2) as server:
        run = row.agent.prepare(directory, server)
        done = run.go(LONGEST_S)
        return account(server, run, done.returncode, done.stdout)


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
    if row.http2 == "off" and row.agent.case.api in APIS:
        assert_equals_ledger(watched, books.ledger, source)
        (tool,) = watched.tools
        assert "mark.txt" in str(tool["arguments"])
    else:
        sizes = [record.received_bytes + record.sent_bytes for record in books.connections]
        assert watched.health(source, "captured_bytes") == sum(sizes)
        assert watched.health(source, "lost_bytes") == 0
        assert watched.health("stream", "lost_bytes") == 0
    programs = [program["argv"] for program in watched.rows("SELECT argv FROM processes")]
    assert programs.count(MARKING) == 1


@pytest.fixture(scope="module")
def freezing_probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawProbe]:
    """A probe process that knows no file yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("plans")))
        with RawProbe(freeze=True) as probe:
            yield probe


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Row], Account]:
    """How a run goes when nobody watches; once a row."""
    done: dict[str, Account] = {}

    def run(row: Row) -> Account:
        if str(row) not in done:
            done[str(row)] = unwatched(row, tmp_path_factory.mktemp("alone"))
        return done[str(row)]

    return run


def speaking(connections: list[RawConnection]) -> list[RawConnection]:
    return [one for one in connections if one.read or one.written]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_byte_of_every_connection(
    row: Row,
    freezing_probe: RawProbe,
    alone: Callable[[Row], Account],
    tmp_path: Path,
) -> None:
    with StandIn("agents", tmp_path / "standin", http2=row.http2) as server:
        run = row.agent.prepare(tmp_path, server)
        result = freezing_probe.watch(
            run.command, run.environment, cwd=run.work, timeout_s=LONGEST_S
        )
        books = account(server, run, result.exit_code, result.stdout.decode())
    assert books.exit_code == 0, result.stderr.decode("utf-8", "replace")[-2000:]
    assert {record.http_version for record in books.connections} == (
        {"2"} if row.http2 == "auto" and alone(row).connections[0].http_version == "2" else {"1.1"}
    )
    captured = speaking(
        [one for one in result.connections.values() if one.source is not Source.CHANNEL]
    )
    assert sorted(one.digests for one in captured) == sorted(
        (record.received_sha256, record.sent_sha256) for record in books.connections
    )
    assert len({one.source for one in captured}) == 1
    assert all(one.gaps == 0 for one in captured)
    assert not {name: n for name, n in result.counters.items() if "lost" in name and n}
    assert books.like(alone(row))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_never_seen_before_and_started_by_its_launcher(
    row: Row, alone: Callable[[Row], Account], tmp_path: Path
) -> None:
    seen, books = watched(row, tmp_path / "cold", tmp_path / "plans")
    assert books.exit_code == 0, seen.stderr[-2000:]
    assert_all_seen(row, seen, books)
    assert books.like(alone(row))


@pytest.mark.parametrize("row", CALLING, ids=str)
def test_seen_before_and_started_by_a_shell(
    row: Row, alone: Callable[[Row], Account], tmp_path: Path
) -> None:
    """The shell names no file: what was found out about it earlier must do."""
    watched(row, tmp_path / "cold", tmp_path / "plans")
    assert (tmp_path / "plans").stat().st_mode & 0o77 == 0
    assert os.listdir(tmp_path / "plans") == ["hook-plans.json"]
    seen, books = watched(
        row, tmp_path / "warm", tmp_path / "plans", through=("sh", "-c", '"$0" "$@"; exit $?')
    )
    assert books.exit_code == 0, seen.stderr[-2000:]
    assert_all_seen(row, seen, books)
    assert books.like(alone(row))
