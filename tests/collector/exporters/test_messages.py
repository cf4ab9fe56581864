"""Provider messages in the shape of the GenAI conventions."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from collector.exporters.messages import (
    Conversation,
    StoredMessage,
    input_messages,
    output_messages,
    system_instructions,
    tool_definitions,
)


def _stored(*bodies: Any, kind: str = "message") -> list[StoredMessage]:
    return [StoredMessage("n", None, kind, None, orjson.dumps(body).decode()) for body in bodies]


def _inputs(*bodies: Any) -> Any:
    return orjson.loads(input_messages(_stored(*bodies)) or "null")


def _parts(*blocks: Any) -> Any:
    return _inputs({"role": "user", "content": list(blocks)})[0]["parts"]


CALL = {"type": "tool_call", "id": "t1", "name": "Bash", "arguments": {"command": "ls"}}
RESPONSE = {"type": "tool_call_response", "id": "t1", "response": "a.py"}


def test_anthropic() -> None:
    assert _inputs(
        {"role": "user", "content": [{"type": "text", "text": "list"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "a.py"}],
                }
            ],
        },
    ) == [
        {"role": "user", "parts": [{"type": "text", "content": "list"}]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, CALL]},
        {"role": "tool", "parts": [RESPONSE]},
    ]


def test_gemini() -> None:
    call = {"functionCall": {"id": "f1", "name": "bash", "args": {"command": "ls"}}}
    answer = {"functionResponse": {"id": "f1", "name": "bash", "response": {"output": "a"}}}
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    found = _inputs(
        {"role": "user", "parts": [{"text": "Look."}, image]},
        {"role": "model", "parts": [{"text": "Hm", "thought": True}, {"text": "I look."}, call]},
        {"role": "user", "parts": [answer]},
    )
    assert [one["role"] for one in found] == ["user", "assistant", "tool"]
    assert found[0]["parts"][1] == {"type": "blob", "mime_type": "image/png", "content": "aGk="}
    assert found[1]["parts"] == [
        {"type": "reasoning", "content": "Hm"},
        {"type": "text", "content": "I look."},
        {"type": "tool_call", "id": "f1", "name": "bash", "arguments": {"command": "ls"}},
    ]
    assert found[2]["parts"] == [
        {"type": "tool_call_response", "id": "f1", "response": {"output": "a"}}
    ]


def test_bedrock() -> None:
    call = {"toolUse": {"toolUseId": "t1", "name": "bash", "input": {"command": "ls"}}}
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm"}}}
    plain = {"toolResult": {"toolUseId": "t1", "content": [{"text": "a"}, {"text": "b"}]}}
    found = _inputs(
        {"role": "assistant", "content": [thought, {"text": "I look."}, call]},
        {"role": "user", "content": [plain]},
    )
    assert [one["role"] for one in found] == ["assistant", "tool"]
    assert [part["type"] for part in found[0]["parts"]] == ["reasoning", "text", "tool_call"]
    assert found[1]["parts"] == [{"type": "tool_call_response", "id": "t1", "response": "a\nb"}]


def test_openai_chat() -> None:
    assert _inputs(
        {"role": "user", "content": "list"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {
                    "id": "t1",
                    "type": "function",
                    "function": {"name": "Bash", "arguments": '{"command":"ls"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "a.py"},
    ) == [
        {"role": "user", "parts": [{"type": "text", "content": "list"}]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, CALL]},
        {"role": "tool", "parts": [RESPONSE]},
    ]


def test_openai_responses() -> None:
    assert _inputs(
        {"role": "user", "content": "list"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {
            "type": "function_call",
            "call_id": "t1",
            "id": "fc_1",
            "name": "Bash",
            "arguments": '{"command":"ls"}',
        },
        {"type": "function_call_output", "call_id": "t1", "output": "a.py"},
        {"type": "local_shell_call", "call_id": "t2", "action": {"command": ["ls"]}},
    ) == [
        {"role": "user", "parts": [{"type": "text", "content": "list"}]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}]},
        {"role": "assistant", "parts": [CALL]},
        {"role": "tool", "parts": [RESPONSE]},
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "tool_call",
                    "id": "t2",
                    "name": "local_shell",
                    "arguments": {"command": ["ls"]},
                }
            ],
        },
    ]


def test_output_is_one_message_with_its_reason() -> None:
    answered = _stored(
        {"type": "reasoning", "summary": []},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "done"},
                {"type": "refusal", "refusal": "but no"},
            ],
        },
    )
    parts = [{"type": "text", "content": "done"}, {"type": "text", "content": "but no"}]
    expected: dict[str, Any] = {"role": "assistant", "parts": parts, "finish_reason": "completed"}
    assert orjson.loads(output_messages(answered, "completed") or "") == [expected]
    del expected["finish_reason"]
    assert orjson.loads(output_messages(answered, None) or "") == [expected]


@pytest.mark.parametrize(
    "prompt",
    ["be brief", {"type": "text", "text": "be brief"}, {"role": "system", "content": "be brief"}],
)
def test_system_instructions(prompt: Any) -> None:
    stored = [*_stored(prompt, kind="system"), *_stored({"role": "user", "content": "hi"})]
    assert orjson.loads(system_instructions(stored) or "") == [
        {"type": "text", "content": "be brief"}
    ]


def test_attachments() -> None:
    png = {"type": "base64", "media_type": "image/png", "data": "iVBOR" * 1000}
    blob = {
        "type": "blob",
        "modality": "image",
        "mime_type": "image/png",
        "content": "iVBOR" * 1000,
    }
    assert _parts(
        {"type": "image", "source": png},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBOR" * 1000}},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
    ) == [
        blob,
        blob,
        {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
        {"type": "file", "file_id": "file_1"},
        {"type": "blob", "modality": "audio", "content": "UklG"},
        {"type": "text", "content": "hi"},
    ]


def test_unknown_blocks_are_handed_on() -> None:
    block = {"type": "redacted_thinking", "data": "secret"}
    assert _parts(block, {"odd": 1}, "plain", 7) == [
        block,
        {"odd": 1, "type": "unknown"},
        {"type": "text", "content": "plain"},
    ]


@pytest.mark.parametrize(
    "body",
    [
        None,
        3,
        [],
        {},
        {"role": 1, "content": {"a": 1}},
        {"role": "user", "content": [None, [], {"type": 5}]},
        {"role": "assistant", "tool_calls": [1, {"function": []}, {}]},
        {"type": "function_call", "arguments": "{broken"},
        {"type": "image", "source": "x", "image_url": 4, "file": []},
        {"type": "message", "content": [{"type": "text", "text": 4}]},
    ],
)
def test_hostile_bodies_never_raise(body: Any) -> None:
    assert isinstance(input_messages(_stored(body)), str)
    output_messages(_stored(body), "stop")
    system_instructions(_stored(body, kind="system"))


def test_what_has_no_body_is_not_shown() -> None:
    unstored = [StoredMessage("n", None, "message", "user", None)]
    assert input_messages(unstored) is None
    assert output_messages(unstored, "stop") is None
    assert system_instructions(unstored) is None
    assert tool_definitions([]) is None


def test_tool_definitions() -> None:
    schema = {"type": "object"}
    flat = {"type": "function", "name": "Bash", "description": "run", "parameters": schema}
    anthropic = {"name": "Bash", "description": "run", "input_schema": schema}
    chat = {
        "type": "function",
        "function": {"name": "Bash", "description": "run", "parameters": schema},
    }
    server_side = {"type": "web_search_20250305", "name": "web_search"}
    texts = [orjson.dumps(each).decode() for each in (anthropic, chat, flat, server_side)]
    assert orjson.loads(tool_definitions(texts) or "") == [flat, flat, flat, server_side]


def test_chains() -> None:
    links = {"a": None, "b": "a", "c": "b", "lost": "gone"}
    conversation = Conversation(
        {node: StoredMessage(node, parent, "message", None, "1") for node, parent in links.items()}
    )

    def nodes(leaf: str | None, until: str | None = None) -> list[str]:
        return [message.node for message in conversation.chain(leaf, until)]

    assert nodes("c") == ["a", "b", "c"]
    assert nodes("c", until="b") == ["c"]
    assert nodes("b", until="b") == []
    assert nodes("lost") == ["lost"]  # what came before is not known
    assert nodes(None) == []
