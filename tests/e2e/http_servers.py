"""Servers over HTTP that run beside the capture, and what they wrote down."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.conftest import PROGRAMS, Record


@contextmanager
def served(program: str, *arguments: str | Path) -> Iterator[int]:
    """The port of a program that prints it, once it listens."""
    server = subprocess.Popen(
        [sys.executable, PROGRAMS / program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.terminate()
        try:
            server.wait(10)
        finally:
            server.kill()
            server.stdout.close()


@dataclass
class Exchanged:
    """One exchange as its server saw it. `received` and `sent` are bodies as text."""

    method: str = ""
    path: str = ""
    received: str = ""
    status: int = 0
    media_type: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def sent(self) -> list[Any]:
        """The JSON values sent: the body, or the data of each event that holds JSON."""
        body = "".join(self.pieces)
        if not self.media_type.startswith("text/event-stream"):
            return [json.loads(body)] if body and "json" in self.media_type else []
        found = []
        for event in re.split(r"\r?\n\r?\n", body):
            data = [line[5:] for line in event.splitlines() if line.startswith("data:")]
            if data and data[0].strip().startswith("{"):
                found.append(json.loads("\n".join(data)))
        return found

    @property
    def asked(self) -> list[Any]:
        """The JSON values received."""
        return [json.loads(self.received)] if self.received else []


def exchanges(ledger: Path) -> list[Exchanged]:
    found: dict[int, Exchanged] = {}
    for line in ledger.read_text().splitlines():
        entry = json.loads(line)
        exchange = found.setdefault(entry["exchange"], Exchanged())
        if "request" in entry:
            exchange.method, exchange.path = entry["method"], entry["path"]
            exchange.received = entry["request"]
        elif "status" in entry:
            if not exchange.status:  # HTTP+SSE's application responds once more at its end
                exchange.status, exchange.media_type = entry["status"], entry["media_type"]
        else:
            exchange.pieces.append(entry["response"])
    return list(found.values())


def same(rows: list[Record], expected: list[Any]) -> None:
    """The bodies of these rows are these values, in any order."""
    stored = sorted(json.dumps(row["body"], sort_keys=True) for row in rows)
    assert stored == sorted(json.dumps(value, sort_keys=True) for value in expected)
