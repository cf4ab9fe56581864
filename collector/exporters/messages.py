"""Stored messages in the shape that the GenAI conventions give messages.

In: message, system and tool bodies as the providers shape them. Out: the JSON texts of
`gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions` and
`gen_ai.tool.definitions`: messages of a role and parts, of type text, reasoning, tool_call,
tool_call_response, blob, uri or file. A part of any other type is handed on as it is, which the
conventions allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from collector.llm.fields import dump, mapping, text, text_parts, word
from collector.llm.model import Json, JsonObject

_TEXTS = ("text", "input_text", "output_text", "refusal")
_REASONINGS = ("thinking", "reasoning_text", "summary_text")
_TOOL_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
_ARGUMENTS = ("arguments", "input", "action", "operation", "code", "queries")
_MODALITIES = ("image", "audio", "video")


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One link of a message list. `body` is the provider's JSON, None without content."""

    node: str
    parent_node: str | None
    kind: str | None  # message | system
    role: str | None
    body: str | None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of a session by node, and its tool schemas, as JSON texts, by tool set."""

    messages: Mapping[str, StoredMessage]
    tool_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def chain(self, leaf: str | None, until: str | None = None) -> tuple[StoredMessage, ...]:
        """The list that ends with `leaf`, oldest first, without what lies at or before `until`."""
        found: list[StoredMessage] = []
        while leaf is not None and leaf != until and (message := self.messages.get(leaf)):
            found.append(message)
            leaf = message.parent_node
        return tuple(reversed(found))


def system_instructions(stored: Iterable[StoredMessage]) -> str | None:
    """The parts of the system prompts among `stored`; None when there are none to show."""
    parts = [part for body in _bodies(stored, "system") for part in _parts_of(body)]
    return (dump(parts) or None) if parts else None


def input_messages(stored: Iterable[StoredMessage]) -> str | None:
    """The chat history without system prompts; None when there is none to show."""
    messages = [
        {"role": _role(body), "parts": list(_parts_of(body))} for body in _bodies(stored, "message")
    ]
    return (dump(messages) or None) if messages else None


def output_messages(stored: Iterable[StoredMessage], finish_reason: str | None) -> str | None:
    """What the model answered, as one message; None when there is nothing to show."""
    parts = [part for body in _bodies(stored, "message") for part in _parts_of(body)]
    if not parts:
        return None
    message: JsonObject = {"role": "assistant", "parts": parts}
    if finish_reason is not None:
        message["finish_reason"] = finish_reason
    return dump([message]) or None


def tool_definitions(schemas: Iterable[str]) -> str | None:
    """Tool schemas, each with its type, name, description and parameters at the top."""
    definitions = [_definition(_load(schema)) for schema in schemas]
    return (dump(definitions) or None) if definitions else None


def _bodies(stored: Iterable[StoredMessage], kind: str) -> Iterator[Json]:
    return (_load(one.body) for one in stored if one.kind == kind and one.body is not None)


def _role(message: Json) -> str:
    if type(message) is not dict:
        return "user"
    kind = word(message, "type") or ""
    if kind.endswith("_output"):
        return "tool"
    role = word(message, "role")
    if role in ("user", "function") and _only_tool_results(_blocks_of(message)):
        return "tool"
    if role == "model":  # Gemini
        return "assistant"
    return role or "assistant"  # items without a role are what the model made earlier


def _only_tool_results(content: Json) -> bool:
    return (
        type(content) is list
        and bool(content)
        and all(type(block) is dict and _is_tool_result(block) for block in content)
    )


def _is_tool_result(block: JsonObject) -> bool:
    untyped = any(field in block for field in ("functionResponse", "toolResult"))
    return untyped or block.get("type") == "tool_result"


def _blocks_of(message: JsonObject) -> Json:
    """What a message holds; Gemini calls it parts."""
    content = message.get("content")
    return message.get("parts") if content is None else content


def _parts_of(message: Json) -> Iterator[JsonObject]:
    """The parts of a message, of an item of the Responses API, or of a bare block or text."""
    if type(message) is not dict:
        yield from _content(message)
        return
    if "role" not in message and message.get("type") != "message":
        yield from _block(message)
        return
    fields = ("reasoning_content", "reasoning", "thinking", "tool_plan")
    reasoning = next((value for name in fields if (value := message.get(name))), None)
    if type(reasoning) is str and reasoning:
        yield _reasoning(reasoning)
    if message.get("role") == "tool":
        yield _tool_response(word(message, "tool_call_id"), message.get("content"))
        return
    yield from _content(_blocks_of(message))
    if type(refusal := message.get("refusal")) is str:
        yield _text(refusal)
    calls = message.get("tool_calls")
    for call in calls if type(calls) is list else ():
        if type(call) is dict:
            detail = mapping(call, "function") or mapping(call, "custom")
            yield _tool_call(word(call, "id"), word(detail, "name"), _arguments(detail))
    if legacy := mapping(message, "function_call"):
        yield _tool_call(None, word(legacy, "name"), _arguments(legacy))


def _content(content: Json) -> Iterator[JsonObject]:
    if type(content) is str:
        yield _text(content)
    for block in content if type(content) is list else ():
        if type(block) is str:
            yield _text(block)
        elif type(block) is dict:
            yield from _block(block)


def _block(block: JsonObject) -> Iterator[JsonObject]:
    kind = word(block, "type") or ""
    if not kind:
        yield _untyped(block)
    elif kind in _TEXTS:
        yield _text(text(block, "text") or text(block, "refusal") or "")
    elif kind in _REASONINGS:
        yield _reasoning(text(block, "thinking") or text(block, "text") or "")
    elif kind == "reasoning":
        for field_name in ("summary", "content"):
            yield from _content(block.get(field_name))
    elif kind in _TOOL_CALLS:
        yield _tool_call(word(block, "id"), word(block, "name"), block.get("input"))
    elif kind.endswith("tool_result"):
        yield _tool_response(word(block, "tool_use_id"), block.get("content"))
    elif kind.endswith("_call_output"):
        yield _tool_response(word(block, "call_id") or word(block, "id"), block.get("output"))
    elif kind.endswith("_call"):
        name = word(block, "name") or kind.removesuffix("_call")
        yield _tool_call(word(block, "call_id") or word(block, "id"), name, _arguments(block))
    else:
        yield _attachment(kind, block) or {**block, "type": kind or "unknown"}


def _untyped(block: JsonObject) -> JsonObject:
    """A block that is told by its only key, as Gemini's parts and Bedrock's blocks are."""
    if call := mapping(block, "functionCall"):
        return _tool_call(word(call, "id"), word(call, "name"), call.get("args"))
    if call := mapping(block, "toolUse"):
        return _tool_call(word(call, "toolUseId"), word(call, "name"), call.get("input"))
    if answer := mapping(block, "functionResponse"):
        return _tool_response(word(answer, "id"), answer.get("response"))
    if answer := mapping(block, "toolResult"):
        content = answer.get("content")
        texts = [text(part, "text") for part in content if type(part) is dict] if content else []
        plain = bool(texts) and all(one is not None for one in texts)
        return _tool_response(word(answer, "toolUseId"), text_parts(content) if plain else content)
    if thought := mapping(mapping(block, "reasoningContent"), "reasoningText"):
        return _reasoning(text(thought, "text") or "")
    said = text(block, "text")
    if said is not None:
        return _reasoning(said) if block.get("thought") is True else _text(said)
    if held := mapping(block, "inlineData") or mapping(block, "fileData"):
        mime_type = {"mime_type": word(held, "mimeType")} if word(held, "mimeType") else {}
        if (data := text(held, "data")) is not None:
            return {"type": "blob", **mime_type, "content": data}
        if (uri := text(held, "fileUri")) is not None:
            return {"type": "uri", **mime_type, "uri": uri}
    return {**block, "type": "unknown"}


def _attachment(kind: str, block: JsonObject) -> JsonObject | None:
    """An image, document or sound: bytes, a URI, or a provider's file id."""
    part: JsonObject = {}
    modality = next((name for name in _MODALITIES if name in kind), None)
    if modality is not None:
        part["modality"] = modality
    source, audio = mapping(block, "source"), mapping(block, "input_audio")
    held = mapping(block, "file") or block
    link = block.get("image_url")
    url = text(source, "url") or (text(link, "url") if type(link) is dict else link)
    file_id = word(source, "file_id") or word(held, "file_id")
    data = text(source, "data") or text(audio, "data") or text(held, "file_data")
    mime_type = word(source, "media_type")
    if source.get("type") == "text" and data is not None:
        return _text(data)
    inline = data or url
    if type(inline) is str and inline.startswith("data:") and ";base64," in inline:
        head, _, data = inline.partition(";base64,")
        mime_type, url = head.removeprefix("data:"), None
    if mime_type is not None:
        part["mime_type"] = mime_type
    if data is not None:
        return {"type": "blob", **part, "content": data}
    if type(url) is str:
        return {"type": "uri", **part, "uri": url}
    if file_id is not None:
        return {"type": "file", **part, "file_id": file_id}
    return None


def _text(content: str) -> JsonObject:
    return {"type": "text", "content": content}


def _reasoning(content: str) -> JsonObject:
    return {"type": "reasoning", "content": content}


def _tool_call(call_id: str | None, name: str | None, arguments: Json) -> JsonObject:
    return {"type": "tool_call", "id": call_id, "name": name or "", "arguments": arguments}


def _tool_response(call_id: str | None, response: Json) -> JsonObject:
    if type(response) is list and all(
        type(block) is dict and block.get("type") in _TEXTS for block in response
    ):
        response = text_parts(response)
    return {"type": "tool_call_response", "id": call_id, "response": response}


def _arguments(call: JsonObject) -> Json:
    """The arguments of an OpenAI tool call, parsed when they are JSON."""
    found = next((call[name] for name in _ARGUMENTS if name in call), None)
    return _load(found) if type(found) is str else found


def _definition(schema: Json) -> Json:
    if type(schema) is not dict:
        return schema
    flat = {**schema, **mapping(schema, "function")}
    flat.pop("function", None)
    if "input_schema" in flat:
        flat["parameters"] = flat.pop("input_schema")
    if word(flat, "type") in (None, "custom") and "parameters" in flat:
        flat["type"] = "function"
    return flat


def _load(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
