"""Messages of every provider as parts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.message_parts import Part, message_parts

DATA = "iVBORw0KGgo=" * 1366
ARGUMENTS = '{\n  "command": "ls"\n}'


GEMINI = [
    (
        {
            "role": "model",
            "parts": [
                {"text": "Hm", "thought": True},
                {"text": "I look."},
                {"functionCall": {"id": "f1", "name": "bash", "args": {"command": "ls"}}},
            ],
        },
        [
            Part("thinking", "Hm"),
            Part("text", "I look."),
            Part("tool_call", ARGUMENTS, "bash", None, "f1"),
        ],
    ),
    (
        {"role": "user", "parts": [{"functionResponse": {"name": "bash", "response": {"a": 1}}}]},
        [Part("tool_result", '{\n  "a": 1\n}')],
    ),
]
BEDROCK = [
    (
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "x"}}},
                {"reasoningContent": {"redactedContent": "eA=="}},
                {"text": "I look."},
                {"toolUse": {"toolUseId": "t1", "name": "bash", "input": {"command": "ls"}}},
            ],
        },
        [
            Part("thinking", "Hm"),
            Part("thinking", "(not readable: the provider encrypted it)"),
            Part("text", "I look."),
            Part("tool_call", ARGUMENTS, "bash", None, "t1"),
        ],
    ),
    (
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"text": "a"}], "status": "error"}}
            ],
        },
        [Part("tool_result", "a", "", True, "t1")],
    ),
]


@pytest.mark.parametrize(("body", "parts"), [*GEMINI, *BEDROCK])
def test_blocks_told_by_their_only_key(body: Any, parts: list[Part]) -> None:
    assert list(message_parts(body)) == parts


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("Be brief.", [Part("text", "Be brief.")]),
        ({"type": "text", "text": "Be brief."}, [Part("text", "Be brief.")]),
        ({"role": "user", "content": "Hello"}, [Part("text", "Hello")]),
        (
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}},
                ],
            },
            [
                Part("thinking", "Hm"),
                Part("text", "I look."),
                Part("tool_call", ARGUMENTS, "bash", None, "t1"),
            ],
        ),
        (
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                        "is_error": True,
                    }
                ],
            },
            [Part("tool_result", "a\nb", "", True, "t1")],
        ),
        (
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm",
                "tool_calls": [
                    {"id": "c1", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
                ],
            },
            [Part("thinking", "Hm"), Part("tool_call", ARGUMENTS, "bash", None, "c1")],
        ),
        (
            {"role": "tool", "tool_call_id": "c1", "content": "a"},
            [Part("tool_result", "a", "", None, "c1")],
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            [Part("text", "Hi")],
        ),
        (
            {"type": "function_call", "call_id": "f1", "name": "bash", "arguments": "{broken"},
            [Part("tool_call", "{broken", "bash", None, "f1")],
        ),
        (
            {"type": "function_call_output", "call_id": "f1", "output": "a"},
            [Part("tool_result", "a", "", None, "f1")],
        ),
        (
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
            [Part("thinking", "Hm")],
        ),
        (
            {"role": "user", "content": [{"type": "image", "data": "x"}]},
            [Part("other", '{\n  "type": "image",\n  "data": "x"\n}', "image")],
        ),
        ({"role": "assistant", "content": None}, []),
        (None, []),
    ],
)  # fmt: skip
def test_shapes(body: Any, parts: list[Part]) -> None:
    assert list(message_parts(body)) == parts


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "tool_calls", "function", "input", "summary"]
            ),
            inner | st.sampled_from(["tool_use", "tool_result", "reasoning", "tool"]),
        )
    ),
)


@given(_JSON)
def test_nothing_raises(body: Any) -> None:
    assert all(isinstance(part.text, str) for part in message_parts(body))


def test_deep_nesting_is_not_fatal() -> None:
    deep: Any = "end"
    for _ in range(600):
        deep = {"a": deep}
    assert message_parts({"role": "user", "content": [{"type": "x", "y": deep}]})[0].title == "x"


PNG = {"type": "base64", "media_type": "image/png", "data": DATA}
ENCODED: list[tuple[dict[str, Any], str]] = [
    ({"type": "image", "source": PNG}, "image/png, 12 KB"),
    ({"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{DATA}"}},
     "image/gif, 12 KB"),
    ({"type": "input_image", "image_url": f"data:image/webp;base64,{DATA}"}, "image/webp, 12 KB"),
    ({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}, "audio wav, 12 KB"),
    ({"inlineData": {"mimeType": "video/mp4", "data": DATA * 1000}}, "video/mp4, 12 MB"),
    ({"image": {"format": "png", "source": {"bytes": DATA}}}, "png, 12 KB"),
]  # fmt: skip


@pytest.mark.parametrize(("block", "said"), ENCODED)
def test_encoded_data_is_told_by_its_size(block: dict[str, Any], said: str) -> None:
    [part] = message_parts({"role": "user", "content": [block]})
    assert (part.kind, part.text) == ("other", said)
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"text": "see"}, block]}
    [part] = message_parts({"role": "user", "content": [result]})
    assert part.text == f"see\n{said}"
    linked = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    [part] = message_parts({"role": "user", "content": [linked]})
    assert "https://example.com/a.png" in part.text
