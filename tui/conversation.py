"""A call's messages in the order in which they are read.

In: `CallDetail`. Out: `Entry`s, each with its parts and whether it is worth unfolding at first:
what is new in this call is, what was sent before is not. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from analysis.message_parts import Part, message_parts
from analysis.reading import CallDetail, Message, RunningAnswer


@dataclass(frozen=True, slots=True)
class Entry:
    """One message. `place` says where it belongs: sent, answered, or came back later; `running`:
    more of it is coming. `body` is the message as it is stored, for copying."""

    role: str
    place: str
    parts: tuple[Part, ...]
    size_bytes: int | None
    unfolded: bool
    running: bool = False
    body: Any = None


def entries(detail: CallDetail) -> tuple[Entry, ...]:
    """The messages of the call, then what its answer says so far, or the results that its tool
    calls had."""
    named: dict[str, str] = {}
    last_answer = max(
        (m.position for m in detail.messages if m.side == "input" and _role(m) == "assistant"),
        default=-1,
    )
    found = [
        Entry(
            role=_role(message),
            place="sent" if message.side == "input" else "answer",
            parts=_parts(message.body, named),
            size_bytes=message.size_bytes,
            unfolded=message.position > last_answer and message.kind != "system",
            body=message.body,
        )
        for message in detail.messages
    ]
    found += running_entries(detail.running)
    for tool in detail.tool_calls.records():
        preview = tool["result_preview"]
        if preview is None:
            continue
        part = Part("tool_result", preview, str(tool["name"]), tool["is_error"])
        found.append(Entry("tool", "came back later", (part,), None, True, body=preview))
    return tuple(found)


def running_entries(running: RunningAnswer | None) -> tuple[Entry, ...]:
    """What an answer says so far."""
    return tuple(
        Entry("assistant", "answering", _parts(body, {}), None, True, True, body)
        for body in (running.messages if running is not None else ())
    )


def _role(message: Message) -> str:
    if message.role:
        return message.role
    body = message.body
    kind = str(body.get("type", "")) if isinstance(body, dict) else ""
    if kind.endswith("_output"):
        return "tool"
    return "assistant" if kind else message.kind or "unknown"


def _parts(body: Any, named: dict[str, str]) -> tuple[Part, ...]:
    """The message's parts; a result takes the name of the tool that was called before it."""
    if body is None:
        return (Part("other", "The content was not stored.", "no content"),)
    found = []
    for part in message_parts(body):
        if part.tool_call_id is not None and part.kind == "tool_call":
            named[part.tool_call_id] = part.title
        elif part.tool_call_id is not None and not part.title:
            part = replace(part, title=named.get(part.tool_call_id, part.tool_call_id))
        found.append(part)
    return tuple(found)
