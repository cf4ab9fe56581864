"""OpenAI's Responses over WebSockets through real probes: calls equal the stand-in's ledger, and
what the official SDK has accumulated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.http.websocket_deflate import Inflater
from collector.http.websocket_frames import FrameReader
from collector.http.websocket_messages import Message
from collector.recording import RecordingReader
from probes import frames
from probes.events import Direction, PlainData, Source
from tests.collector.captures import tables_of
from tests.e2e.conftest import Watched, python
from tests.e2e.sockets import assert_equals_socket_ledger, lists_of
from tests.e2e.test_keep_raw import redecoded
from tests.frames import API_KEY
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
TURNS = 7
NAMES = ("plain", "one", "parallel", "silent", "shell", "handoff")
SYSTEM = "Do as you are told."


@pytest.mark.parametrize(("compression", "plain"), [(["deflate"], False), ([], True)])
def test_openai_sdk(
    standin: Callable[..., StandIn],
    watched: Callable[..., Watched],
    compression: list[str],
    plain: bool,
) -> None:
    server = standin("tools", latency_scale=0, plain=plain)
    result = watched(server, python("openai_websocket.py", str(TURNS), *compression))
    assert result.exit_code == 0, result.stderr
    server.stop()
    source = "socket" if plain else "openssl"
    assert_equals_socket_ledger(result, server.ledger(), server.connections(), source)
    assert result.health("http", "socket_messages") > 100
    assert len({call["session_id"] for call in result.calls[:TURNS]}) == 1

    told = [json.loads(line) for line in result.stdout.splitlines()]
    responses = [one["response"] for one in told[:-1]]
    assert (told[-1]["status"], told[-1]["error"]["type"]) == (400, "previous_response_not_found")
    calls = {call["response_id"]: call for call in result.calls}
    lists = lists_of(result)
    history: list[object] = [SYSTEM]
    for number, response in enumerate(responses):
        call, usage = calls[response["id"]], response["usage"]
        assert (call["model"], call["finish_reason"]) == (response["model"], response["status"])
        assert (call["input_tokens"], call["output_tokens"]) == (
            usage["input_tokens"],
            usage["output_tokens"],
        )
        assert call["cache_read_tokens"] == usage["input_tokens_details"]["cached_tokens"]
        assert call["reasoning_tokens"] == usage["output_tokens_details"]["reasoning_tokens"]
        asked, answered = lists[response["id"]]
        assert answered == response["output"]
        texts = [part["text"] for item in answered for part in item.get("content", ())]
        assert "".join(texts) == told[number]["text"]
        if number < TURNS:
            history.append({"role": "user", "content": f"turn={NAMES[number % 6]} {number}"})
            assert asked == history
            history += answered
        else:
            assert len(asked) == 1


@pytest.mark.parametrize("compression", [["deflate"], []])
def test_a_key_in_messages_is_in_no_recording_and_the_calls_are_all_there(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], compression: list[str]
) -> None:
    server = standin("tools", latency_scale=0)
    command = python("openai_websocket.py", str(TURNS), *compression)
    words = f" with {API_KEY.decode()}, if you please"
    result = watched(server, command, options=["--keep-raw"], WORDS=words)
    assert result.exit_code == 0, result.stderr
    assert "blanked" not in result.stderr
    server.stop()
    assert_equals_socket_ledger(result, server.ledger(), server.connections(), "openssl")
    [capture] = result.rows("SELECT * FROM captures")
    messages = _sent(Path(capture["raw_path"]), bool(compression))
    assert sum(b"with [redacted:" in message for message in messages) == TURNS
    assert not any(API_KEY[10:20] in message for message in messages)
    before = tables_of(result.store)
    [told] = redecoded(result.store, server, "--all")
    assert (told["added"], told["gone"], told["damage"]) == ({}, 0, None)
    assert tables_of(result.store) == before


def _sent(path: Path, deflate: bool) -> list[bytes]:
    """The messages that the client sent, as a recording has them."""
    reader = RecordingReader(path)
    data = b""
    for one in reader.frames():
        event = frames.decode(one)
        if isinstance(event, PlainData) and event.source == Source.OPENSSL:
            data += event.data if event.direction == Direction.WRITE else b""
    reader.close()
    inflater = Inflater(takeover=True, limit_bytes=1 << 20) if deflate else None
    events = FrameReader(inflater).feed(data.partition(b"\r\n\r\n")[2], 0)
    return [event.data for event in events if isinstance(event, Message) and event.data]
