"""Message lists, each message stored once.

In: the system prompts, messages and tool schemas of requests. Out: `ContentRow`, `MessageNodeRow`
and `ToolSetRow`, only for what was not seen before. Agents resend their whole history with every
turn; a list is a chain of nodes, each the hash of its parent and its content, so a list that
extends an earlier one shares all of its nodes and storage grows with what is new.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from collector.llm.model import Json, LlmRequest
from collector.redaction import TextRedactor
from collector.rows import Batch, ContentRow, MessageNodeRow, ToolSetRow

_KNOWN_LIMIT = 200_000
_SIZE = struct.Struct("<Q").pack


def digest(*parts: bytes) -> str:
    """16 bytes of BLAKE2b over length-prefixed parts, in hex."""
    prefixed = b"".join([piece for part in parts for piece in (_SIZE(len(part)), part)])
    return blake2b(prefixed, digest_size=16).hexdigest()


class _Known:
    """The most recent keys, each with a value; forgetting one only offers its row again."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, str] = OrderedDict()

    def get(self, key: str) -> str | None:
        """The value of a known key."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: str, value: str) -> None:
        """Remember a key; the oldest goes when there are too many."""
        self._values[key] = value
        if len(self._values) > _KNOWN_LIMIT:
            self._values.popitem(last=False)

    def add(self, key: str) -> bool:
        """True when the key is new."""
        if self.get(key) is not None:
            return False
        self.put(key, key)
        return True


@dataclass(frozen=True, slots=True)
class MessageList:
    """A request's stored list: its leaf node, and the chain of its messages without the system
    prompt, which tells which conversation it continues."""

    leaf: str | None
    lineage: tuple[str, ...]
    length: int


class Conversations:
    """Turns requests into nodes and contents, remembering what was already given out."""

    def __init__(self, redact: TextRedactor, *, content: bool) -> None:
        self._redact = redact
        self._content = content
        self._known_contents = _Known()
        self._known_nodes = _Known()
        self._known_tool_sets = _Known()

    def request(self, request: LlmRequest, batch: Batch) -> MessageList:
        """Store what is new of a request's system prompt and messages."""
        leaf: str | None = None
        position = 0
        for entry in request.system:
            leaf = self._append(leaf, position, self._store("system", entry, batch), batch)
            position += 1
        lineage: list[str] = []
        previous = b""
        for message in request.messages:
            content_hash = self._store("message", message, batch)
            leaf = self._append(leaf, position, content_hash, batch)
            position += 1
            lineage.append(digest(previous, content_hash.encode()))
            previous = lineage[-1].encode()
        return MessageList(leaf, tuple(lineage), position)

    def extend(self, base: MessageList, output: Iterable[Json], batch: Batch) -> str | None:
        """Append what the model answered; the leaf of the longer list."""
        leaf, position = base.leaf, base.length
        for message in output:
            leaf = self._append(leaf, position, self._store("message", message, batch), batch)
            position += 1
        return leaf

    def tool_set(self, tools: Iterable[Json], batch: Batch) -> str | None:
        """Store tool schemas; the name of the set, None when it is empty."""
        hashes = [self._store("tool", tool, batch) for tool in tools]
        if not hashes:
            return None
        name = digest(*(content_hash.encode() for content_hash in hashes))
        if self._known_tool_sets.add(name):
            batch.tool_sets += [
                ToolSetRow(name, position, content_hash)
                for position, content_hash in enumerate(hashes)
            ]
        return name

    def _append(self, parent: str | None, position: int, content_hash: str, batch: Batch) -> str:
        node = digest((parent or "").encode(), content_hash.encode())
        if self._known_nodes.add(node):
            batch.nodes.append(MessageNodeRow(node, parent, position, content_hash))
        return node

    def _store(self, kind: str, entry: Json, batch: Batch) -> str:
        """The hash of the redacted content, so that a replay of masked frames gives the same."""
        body = _dump(entry)
        seen = digest(kind.encode(), body)
        content_hash = self._known_contents.get(seen)
        if content_hash is None:
            text = self._redact(body.decode("utf-8", "replace"))
            content_hash = digest(kind.encode(), text.encode("utf-8", "surrogatepass"))
            batch.contents.append(
                ContentRow(
                    content_hash,
                    kind,
                    _role(kind, entry),
                    len(body),
                    text if self._content else None,
                )
            )
            self._known_contents.put(seen, content_hash)
        return content_hash


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):  # integers beyond 64 bits
        return repr(value).encode("utf-8", "replace")


def _role(kind: str, entry: Json) -> str | None:
    if kind == "system":
        return "system"
    if kind == "message" and isinstance(entry, dict):
        role = entry.get("role") or entry.get("type")
        return role if isinstance(role, str) else None
    return None
