"""What one stored message is made of: bytes by who speaks, tool results, tool calls, texts.

In: a `ContextNode`: a message of any provider's shape, as its API has it (`collector.llm`). Out:
`Anatomy`. The byte parts sum to the message's size. Without content only the role tells: what it
leaves open is `other`. Pure; hostile bodies give `other`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from analysis.file_reads import read_path
from analysis.markers import markers
from analysis.steps import ContextNode

TEXT_CHARS = 2000
"""So much of each text in the user's name is kept: markers stand at its beginning."""
_MOST_TEXTS = 16
_MOST_BLOCKS = 4096
_SPEAKERS = {
    "system": "system", "developer": "system", "user": "user",
    "assistant": "assistant", "model": "assistant", "CHATBOT": "assistant",
    "tool": "tool_result", "function": "tool_result",
    "reasoning": "assistant",
}  # fmt: skip
_RESULT_FIELDS = (("functionResponse", "id"), ("toolResult", "toolUseId"))
_CALL_FIELDS = (("functionCall", "id", "args"), ("toolUse", "toolUseId", "input"))


class Called(NamedTuple):
    """A tool call in a message. `path`: the file that it reads, where it says so."""

    tool_call_id: str | None
    name: str
    path: str | None


class Result(NamedTuple):
    """A tool result in a message, its size in bytes. It names its call, its tool, or neither."""

    tool_call_id: str | None
    name: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One message. `texts` are what it says in the user's name, or the system prompt's texts;
    `is_summary`: the provider marks it as standing for what was left out."""

    system_bytes: int = 0
    user_bytes: int = 0
    assistant_bytes: int = 0
    tool_result_bytes: int = 0
    other_bytes: int = 0
    called: tuple[Called, ...] = ()
    results: tuple[Result, ...] = ()
    texts: tuple[str, ...] = ()
    is_summary: bool = False

    @property
    def is_system(self) -> bool:
        """Does it hold nothing but instructions?"""
        return self.system_bytes > 0

    @property
    def says(self) -> bool:
        """Is there anything in it beside tool results?"""
        return self.user_bytes + self.assistant_bytes + self.system_bytes + self.other_bytes > 0


def anatomy(node: ContextNode) -> Anatomy:
    """Take one message apart."""
    size = max(0, node.size_bytes if node.size_bytes is not None else len(node.body or ""))
    body = _parsed(node.body)
    speaker = "system" if node.kind == "system" else _speaker(node.role, body)
    if body is None:
        if speaker == "tool_result":
            return Anatomy(tool_result_bytes=size, results=(Result(None, None, size),))
        if speaker == "user" and node.body is None:
            speaker = "other"  # some APIs send tool results in the user's name
        return _of(speaker, size)
    if speaker == "tool_result":
        return Anatomy(tool_result_bytes=size, results=(_whole_result(body, size),))
    blocks = _blocks(body)
    results = tuple(_results(blocks))
    result_bytes = min(size, sum(result.size_bytes for result in results))
    if result_bytes and len(results) == len(blocks):
        result_bytes = size  # with the braces around them
    parts = _of(speaker, size - result_bytes)
    return Anatomy(
        system_bytes=parts.system_bytes,
        user_bytes=parts.user_bytes,
        assistant_bytes=parts.assistant_bytes,
        tool_result_bytes=result_bytes,
        other_bytes=parts.other_bytes,
        called=tuple(_called(body, blocks)) if speaker == "assistant" else (),
        results=results,
        texts=tuple(_texts(blocks)) if speaker in ("user", "system") else (),
        is_summary=_is_summary(body) or any(map(_is_summary, blocks)),
    )


def _of(speaker: str, size: int) -> Anatomy:
    return Anatomy(
        system_bytes=size if speaker == "system" else 0,
        user_bytes=size if speaker == "user" else 0,
        assistant_bytes=size if speaker == "assistant" else 0,
        other_bytes=size if speaker == "other" else 0,
    )


def _parsed(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None


def _speaker(role: str | None, body: Any) -> str:
    """Who speaks, by the role or, in OpenAI's items, the type."""
    if role is None and isinstance(body, str):
        return "user"  # a prompt that is only a text
    kind = role or ""
    if kind in _SPEAKERS:
        return _SPEAKERS[kind]
    if kind.endswith("_output"):
        return "tool_result"
    return "assistant" if kind.endswith("_call") else "other"


def _blocks(body: Any) -> list[Any]:
    if not isinstance(body, dict):
        return body[:_MOST_BLOCKS] if isinstance(body, list) else [body]
    content = body.get("content")
    if content is None:
        content = body.get("parts")
    if isinstance(content, list):
        return content[:_MOST_BLOCKS]
    return [body if content is None else content]


def _whole_result(body: Any, size: int) -> Result:
    if not isinstance(body, dict):
        return Result(None, None, size)
    call_id = _word(body, "tool_call_id") or _word(body, "call_id")
    return Result(call_id, _word(body, "tool_name") or _word(body, "name"), size)


def _results(blocks: list[Any]) -> Iterator[Result]:
    for block in blocks:
        if not isinstance(block, dict):
            continue
        if _word(block, "type", "").endswith("tool_result"):
            yield Result(_word(block, "tool_use_id"), None, _size(block))
            continue
        for field, name in _RESULT_FIELDS:
            answer = block.get(field)
            if isinstance(answer, dict):
                yield Result(_word(answer, name), _word(answer, "name"), _size(block))


def _called(body: Any, blocks: list[Any]) -> Iterator[Called]:
    for block in blocks:
        if not isinstance(block, dict):
            continue
        kind = _word(block, "type", "")
        if kind.endswith("tool_use"):
            yield _call(block, _word(block, "id"), block.get("input"))
        elif kind in ("function_call", "custom_tool_call"):
            asked = block.get("arguments", block.get("input"))
            yield _call(block, _word(block, "call_id"), asked)
        elif kind == "local_shell_call":
            yield _call({"name": "local_shell"}, _word(block, "call_id"), block.get("action"))
        for field, name, arguments in _CALL_FIELDS:
            call = block.get(field)
            if isinstance(call, dict):
                yield _call(call, _word(call, name), call.get(arguments))
    calls = body.get("tool_calls") if isinstance(body, dict) else None
    for call in calls[:_MOST_BLOCKS] if isinstance(calls, list) else ():
        about = call.get("function", call.get("custom")) if isinstance(call, dict) else None
        if isinstance(about, dict):
            asked = about.get("arguments", about.get("input"))
            yield _call(about, _word(call, "id"), asked)


def _call(about: dict[str, Any], call_id: str | None, asked: Any) -> Called:
    name = _word(about, "name") or "unknown"
    if isinstance(asked, str):
        asked = _parsed(asked)
    return Called(call_id, name, read_path(name, asked))


def _texts(blocks: list[Any]) -> Iterator[str]:
    """The first and the last texts, without what clients put beside the user's own."""
    half = _MOST_TEXTS // 2
    some = blocks if len(blocks) <= _MOST_TEXTS else [*blocks[:half], *blocks[-half:]]
    for block in some:
        text = block.get("text") if isinstance(block, dict) else block
        if isinstance(text, str):
            own = markers().without_injected(text).strip()
            if own:
                yield own[:TEXT_CHARS]


def _is_summary(block: Any) -> bool:
    """OpenAI's and Anthropic's items of compaction."""
    kind = _word(block, "type", "") if isinstance(block, dict) else ""
    return kind in ("compaction", "compaction_summary", "context_compaction")


def _size(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:  # nested deeper than it writes
        return 0


def _word(about: dict[str, Any], field: str, default: Any = None) -> Any:
    value = about.get(field)
    return value if isinstance(value, str) and value else default
