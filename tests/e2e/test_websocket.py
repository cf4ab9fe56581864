"""OpenAI's Responses over WebSockets through real probes: calls equal the stand-in's ledger, and
what the official SDK has accumulated."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Watched, python
from tests.e2e.sockets import assert_equals_socket_ledger, lists_of
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
TURNS = 7
NAMES = ("plain", "one", "parallel", "silent", "shell", "handoff")
SYSTEM = "Do as you are told."


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("compression", [["deflate"], []])
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
