"""Forms with files, and what comes back for them, from OpenAI's client."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Watched, python
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged


def test_transcriptions_and_image_edits(
    standin: Callable[..., StandIn], watched: Callable[..., Watched]
) -> None:
    server = standin("zero_latency")
    result = watched(server, python("openai_media.py"))
    assert result.exit_code == 0, result.stderr
    ledger = server.ledger(at_least=4)
    calls = {call["provider_request_id"]: call for call in result.calls}
    assert len(calls) == len(result.calls) == len(ledger) == 4
    for record in ledger:
        call = calls[record.request_id]
        assert record.usage is not None
        assert (call["api"], call["operation"]) == (record.api, "generate_content")
        assert (call["request_model"], call["stream"]) == (record.request_model, record.streamed)
        assert (call["input_tokens"], call["output_tokens"]) == (
            record.usage.input_tokens,
            record.usage.output_tokens,
        )
        assert (call["request_bytes"], call["response_bytes"]) == (
            record.request_bytes,
            record.response_bytes,
        )
        assert (call["status"], call["complete"], call["lost_bytes"]) == ("ok", True, 0)
    messages = {
        (call["call_id"], message["side"]): message["body"]["content"]
        for call in result.calls
        for message in result.rows(f"SELECT * FROM messages WHERE call_id = '{call['call_id']}'")
    }
    whole, streamed, edit, edits = [call["call_id"] for call in result.calls]
    [sound] = messages[whole, "input"]
    assert (sound["filename"], sound["media_type"], sound["size_bytes"]) == (
        "talk.wav",
        "audio/wav",
        1 << 20,
    )
    assert messages[streamed, "input"] == [sound, {"type": "text", "text": "Names: Zoë"}]
    assert messages[streamed, "output"] == messages[whole, "output"]
    assert [part["size_bytes"] for part in messages[edit, "input"][:-1]] == [60_000]
    assert [part["size_bytes"] for part in messages[edits, "input"][:-1]] == [60_000, 60_000]
    [picture] = messages[edits, "output"]
    [text] = messages[whole, "output"]
    assert picture["size_bytes"] == len(text["text"].encode())
    assert "b64_json" not in picture
