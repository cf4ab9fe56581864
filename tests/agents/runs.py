"""Runs of real agents and what the stand-in says of them, to hold watched ones against others.

In: installed agents (see `agents`). Out: an `Account` of a run: the stand-in's books, and how the
agent ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.agents.agents import MARK, Installed, Run, installed, outline
from underglass.demo.ledger import ConnectionRecord, LedgerRecord
from underglass.demo.standin import StandIn

LONGEST_S = 120
HTTP2_AGENTS = frozenset(("codex",))  # the others offer HTTP/1.1 alone


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
