"""What a message says, whatever the provider's JSON looks like.

In: the body of one stored message, as the provider's API shapes it. Out: its `Part`s in order,
for the dashboard and `underglass show`. Pure; what it does not know is shown as the JSON that it
is, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from analysis.cells import json_text
from analysis.media_parts import media_of

JsonObject = dict[str, Any]
PartKind = Literal["text", "thinking", "tool_call", "tool_result", "other"]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message. `title` names a tool, or what kind of thing it is.

    A result names no tool, only the call that it answers: `tool_call_id` is in both.
    """

    kind: PartKind
    text: str
    title: str = ""
    is_error: bool | None = None
    tool_call_id: str | None = None


def message_parts(body: Any) -> tuple[Part, ...]:
    """The parts of a message body; none when the body was not stored."""
    return tuple(_message(body))


def pretty_json(value: Any) -> str:
    """Indented JSON; text that holds JSON is read first, other text stays as it is."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return str(value)
    return json_text(value, indented=True)


def _message(body: Any) -> Iterator[Part]:
    if body is None:
        return
    if not isinstance(body, dict):
        yield from _content(body)
        return
    known = False
    for field in ("reasoning_content", "reasoning", "thinking", "tool_plan"):
        if isinstance(body.get(field), str) and body[field]:
            known = True
            yield Part("thinking", body[field])
    if body.get("role") == "tool":
        known = True
        yield Part(
            "tool_result", _text(body.get("content")), tool_call_id=_id(body, "tool_call_id")
        )
    elif body.get("content") is not None:
        known = True
        yield from _content(body["content"])
    elif isinstance(body.get("parts"), list):  # Gemini
        known = True
        yield from _content(body["parts"])
    if isinstance(body.get("refusal"), str):
        known = True
        yield Part("text", body["refusal"], "refusal")
    calls = body.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        known = True
        yield _chat_tool_call(call)
    if not known and ("type" in body or not {"role", "content"} & body.keys()):
        yield _block(body)


def _content(content: Any) -> Iterator[Part]:
    if isinstance(content, list):
        for block in content:
            yield _block(block)
    else:
        yield _block(content)


def _block(block: Any) -> Part:
    if isinstance(block, str):
        return Part("text", block)
    if not isinstance(block, dict):
        return Part("other", pretty_json(block))
    encoded = media_of(block)
    if encoded is not None:
        return Part("other", encoded)
    kind = str(block.get("type", ""))
    untyped = None if kind else _untyped(block)
    if untyped is not None:
        return untyped
    if isinstance(block.get("text"), str):
        return Part("text", block["text"])
    if kind == "thinking":
        return Part("thinking", str(block.get("thinking", "")))
    if kind == "reasoning":
        said = _text(block.get("summary")) or _text(block.get("content"))
        return Part("thinking", said or "(not readable: the provider encrypted it)")
    if kind == "redacted_thinking":
        return Part("thinking", "(not readable: the provider encrypted it)")
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        return _tool_call(block, block.get("input"), kind, _id(block, "id"))
    if kind in ("function_call", "custom_tool_call"):
        asked = block.get("arguments", block.get("input"))
        return _tool_call(block, asked, kind, _id(block, "call_id"))
    if kind in ("function_call_output", "custom_tool_call_output"):
        return Part("tool_result", _text(block.get("output")), tool_call_id=_id(block, "call_id"))
    if kind.endswith("tool_result"):
        failed = block.get("is_error")
        return Part(
            "tool_result",
            _text(block.get("content")),
            is_error=failed if isinstance(failed, bool) else None,
            tool_call_id=_id(block, "tool_use_id"),
        )
    if isinstance(block.get("refusal"), str):
        return Part("text", block["refusal"], "refusal")
    return Part("other", pretty_json(block), kind)


def _untyped(block: JsonObject) -> Part | None:
    """A block that is told by its only key, as Gemini's parts and Bedrock's blocks are."""
    for field, name, asked in (("functionCall", "id", "args"), ("toolUse", "toolUseId", "input")):
        call = block.get(field)
        if isinstance(call, dict):
            return _tool_call(call, call.get(asked), field, _id(call, name))
    answer = block.get("functionResponse")
    if isinstance(answer, dict):
        return Part("tool_result", _text(answer.get("response")), tool_call_id=_id(answer, "id"))
    answer = block.get("toolResult")
    if isinstance(answer, dict):
        return Part(
            "tool_result",
            _text(answer.get("content")),
            is_error=answer.get("status") == "error",
            tool_call_id=_id(answer, "toolUseId"),
        )
    if block.get("thought") is True and isinstance(block.get("text"), str):
        return Part("thinking", block["text"])
    reasoning = block.get("reasoningContent")
    if isinstance(reasoning, dict):
        said = reasoning.get("reasoningText")
        thought = said.get("text") if isinstance(said, dict) else None
        readable = thought if isinstance(thought, str) else None
        return Part("thinking", readable or "(not readable: the provider encrypted it)")
    return None


def _chat_tool_call(call: Any) -> Part:
    about = call.get("function", call.get("custom")) if isinstance(call, dict) else None
    if not isinstance(about, dict):
        return Part("other", pretty_json(call), "tool call")
    asked = about.get("arguments", about.get("input"))
    return _tool_call(about, asked, "tool call", _id(call, "id"))


def _tool_call(about: JsonObject, asked: Any, kind: str, tool_call_id: str | None) -> Part:
    return Part("tool_call", pretty_json(asked), str(about.get("name", kind)), None, tool_call_id)


def _id(body: JsonObject, field: str) -> str | None:
    return body[field] if isinstance(body.get(field), str) else None


def _text(content: Any) -> str:
    """The text of a tool result or summary; other parts of it as JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            each["text"]
            if isinstance(each, dict) and isinstance(each.get("text"), str)
            else encoded
            if isinstance(each, dict) and (encoded := media_of(each)) is not None
            else each
            if isinstance(each, str)
            else pretty_json(each)
            for each in content
        )
    return pretty_json(content)
