"""Capture that begins in the middle of a conversation: what was missed is said, and the next
exchange on the same connection is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.asked import AskedClient
from tests.e2e.conftest import Watched
from tests.e2e.watching import while_attached
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Start = Callable[..., StandIn]
TIMES = 3


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body.json"
    message = {"role": "user", "content": "where were we? " * 300}
    path.write_text(json.dumps({"model": "gpt-5", "stream": True, "messages": [message]}))
    return path


@pytest.fixture
def long_answer(tmp_path: Path) -> Path:
    """A script whose answers are far longer than a client reads ahead."""
    path = tmp_path / "long.toml"
    path.write_text('select = "cycle"\n[[turn]]\ntext = ["and so on, "]\nrepeat = 600\n')
    return path


@pytest.mark.parametrize("point", ["within an answer", "between two exchanges"])
def test_the_next_exchange_of_an_open_connection_is_whole(
    point: str, standin: Start, body: Path, long_answer: Path, tmp_path: Path
) -> None:
    server = standin(long_answer)
    store = tmp_path / "store.db"

    def go_on() -> None:
        if point == "within an answer":
            client.ask("rest")
        client.ask("whole", TIMES)

    with AskedClient(server, body) as client:
        client.ask("whole")
        if point == "within an answer":
            client.ask("part")
        code, said = while_attached(store, ["--pid", str(client.pid)], go_on)
        assert code == 0, said
    watched = Watched(store, 0, "", "")
    ledger = server.ledger(at_least=TIMES + 1)
    assert len({record.connection for record in ledger}) == 1
    whole = [call for call in watched.calls if call["complete"]]
    assert [
        (call["response_id"], call["request_bytes"], call["response_bytes"]) for call in whole
    ] == [
        (record.response_id, record.request_bytes, record.response_bytes)
        for record in ledger[-TIMES:]
    ]
    assert {call["status"] for call in whole} == {"ok"}
    late = point == "within an answer"
    assert watched.health("http", "joined_late_connections") == late
    assert len(watched.calls) == TIMES
    assert watched.health("http", "joined_late_calls") == late
    assert watched.health("openssl", "lost_bytes") == 0
    assert ("under way when capture came" in said) == late
