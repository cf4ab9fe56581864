"""What one request says that another did not: messages, system prompt, tools, parameters.

In: the `CallDetail`s of two calls, mostly of the same conversation. Out: a `RequestDiff`. Messages
are compared by their hashes, so that what was only sent again is one line; of those that stand in
each other's place the text is compared (`analysis.text_diff`). Pure; work is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from analysis.cells import json_text
from analysis.message_parts import message_parts, pretty_json
from analysis.reading import CallDetail, Message
from analysis.text_diff import DiffLine, text_diff

ChangeKind = Literal["same", "added", "removed", "changed"]

MAX_ALIGNED = 2_000
"""Messages of one side that are put beside those of the other."""
_MAX_VALUE_CHARS = 400
_FACTS = ("request_model", "api", "provider", "host", "stream")


@dataclass(frozen=True, slots=True)
class MessageChange:
    """`same`: `count` messages that follow each other, from `position` on. Else one message:
    `text` of one that was added or removed, `lines` of one that changed.

    `answered`: an added message is the answer to the request before.
    """

    kind: ChangeKind
    position: int
    count: int = 1
    role: str = ""
    text: str = ""
    lines: tuple[DiffLine, ...] = ()
    answered: bool = False


@dataclass(frozen=True, slots=True)
class ToolChange:
    """A tool schema by its name; `lines`: what changed in it."""

    kind: ChangeKind
    name: str
    lines: tuple[DiffLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """A parameter as JSON text; None: it was not given."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RequestDiff:
    """The differences from the request of the call `before` to that of `after`.

    `content_stored`: False when texts of messages are not known.
    """

    before: str
    after: str
    system: tuple[MessageChange, ...]
    messages: tuple[MessageChange, ...]
    tools: tuple[ToolChange, ...]
    parameters: tuple[ParameterChange, ...]
    same_tools: int
    content_stored: bool

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        changes = (*self.system, *self.messages)
        return not (self.tools or self.parameters) and all(one.kind == "same" for one in changes)


def request_diff(before: CallDetail, after: CallDetail) -> RequestDiff:
    """What is new, changed and gone from one request to the other."""
    one, other = _sent(before), _sent(after)
    answers = {m.content_hash for m in before.messages if m.side == "output"}
    tools, same_tools = _tools(before.tool_schemas, after.tool_schemas)
    return RequestDiff(
        before=str(before.call["call_id"]),
        after=str(after.call["call_id"]),
        system=tuple(_changes(_of(one, system=True), _of(other, system=True), set())),
        messages=tuple(_changes(_of(one, system=False), _of(other, system=False), answers)),
        tools=tools,
        parameters=tuple(_parameters(before.call, after.call)),
        same_tools=same_tools,
        content_stored=all(message.body is not None for message in (*one, *other)),
    )


def message_text(body: Any) -> str:
    """All that a message says, for comparing: parts that are no plain text under a heading."""
    said = []
    for part in message_parts(body):
        text = pretty_json(part.text) if part.kind == "tool_call" else part.text
        label = "" if part.kind == "text" else f"[{part.kind} {part.title}".rstrip() + "]\n"
        said.append(label + text)
    return "\n".join(said)


def _sent(detail: CallDetail) -> list[Message]:
    return [message for message in detail.messages if message.side == "input"]


def _of(messages: Sequence[Message], *, system: bool) -> list[Message]:
    return [message for message in messages if (message.kind == "system") == system]


def _changes(
    one: list[Message], other: list[Message], answers: set[str]
) -> Iterator[MessageChange]:
    head = 0
    for a, b in zip(one, other, strict=False):
        if a.content_hash != b.content_hash:
            break
        head += 1
    tail = 0
    for a, b in zip(reversed(one[head:]), reversed(other[head:]), strict=False):
        if a.content_hash != b.content_hash:
            break
        tail += 1
    if head:
        yield MessageChange("same", other[0].position, head)
    gone, new = one[head : len(one) - tail], other[head : len(other) - tail]
    if max(len(gone), len(new)) > MAX_ALIGNED:
        yield from _replaced(gone, new, answers)
    else:
        hashes = [m.content_hash for m in gone], [m.content_hash for m in new]
        matcher = SequenceMatcher(None, *hashes, autojunk=False)
        for tag, i, i_end, j, j_end in matcher.get_opcodes():
            if tag == "equal":
                yield MessageChange("same", new[j].position, j_end - j)
            else:
                yield from _replaced(gone[i:i_end], new[j:j_end], answers)
    if tail:
        yield MessageChange("same", other[len(other) - tail].position, tail)


def _replaced(
    gone: list[Message], new: list[Message], answers: set[str]
) -> Iterator[MessageChange]:
    """Messages in the place of others; those of the same role one by one."""
    paired = 0
    for a, b in zip(gone, new, strict=False):
        if a.role != b.role or b.content_hash in answers:
            break
        paired += 1
        lines = text_diff(message_text(a.body), message_text(b.body))
        yield MessageChange("changed", b.position, role=_role(b), lines=lines)
    for message in gone[paired:]:
        text = message_text(message.body)
        yield MessageChange("removed", message.position, role=_role(message), text=text)
    for message in new[paired:]:
        yield MessageChange(
            "added",
            message.position,
            role=_role(message),
            text=message_text(message.body),
            answered=message.content_hash in answers,
        )


def _role(message: Message) -> str:
    return message.role or message.kind or "message"


# Tools


def named_tools(schemas: Sequence[Any]) -> dict[str, Any]:
    """Tool schemas by name, whatever the provider's shape; those without one by what they are."""
    found: dict[str, Any] = {}
    for schema in schemas:
        for name, each in _named(schema):
            while name in found and found[name] != each:
                name += "'"
            found[name] = each
    return found


def _named(schema: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(schema, dict):
        yield json_text(schema)[:_MAX_VALUE_CHARS], schema
        return
    declared = schema.get("functionDeclarations", schema.get("function_declarations"))
    if isinstance(declared, list):  # Gemini
        for each in declared:
            yield from _named(each)
        return
    for holder in (schema, schema.get("function"), schema.get("toolSpec"), schema.get("custom")):
        if isinstance(holder, dict) and isinstance(holder.get("name"), str):
            yield holder["name"], schema
            return
    yield str(schema.get("type", next(iter(schema), "tool"))), schema


def _tools(before: Sequence[Any], after: Sequence[Any]) -> tuple[tuple[ToolChange, ...], int]:
    one, other = named_tools(before), named_tools(after)
    found = [ToolChange("removed", name) for name in one if name not in other]
    same = 0
    for name, schema in other.items():
        if name not in one:
            found.append(ToolChange("added", name))
        elif one[name] != schema:
            lines = text_diff(pretty_json(one[name]), pretty_json(schema))
            found.append(ToolChange("changed", name, lines))
        else:
            same += 1
    return tuple(found), same


# Parameters


def _parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ParameterChange]:
    one, other = _given(before), _given(after)
    for name in dict.fromkeys((*one, *other)):
        if one.get(name) != other.get(name):
            yield ParameterChange(name, _cut(one.get(name)), _cut(other.get(name)))


def _given(call: Mapping[str, Any]) -> dict[str, str]:
    facts = {name: call[name] for name in _FACTS if call.get(name) is not None}
    params = call.get("params")
    if isinstance(params, dict):
        facts |= params
    return {name: json_text(value) for name, value in facts.items()}


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= _MAX_VALUE_CHARS:
        return text
    return f"{text[:_MAX_VALUE_CHARS]}… ({len(text):,} characters)"
