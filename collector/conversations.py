"""Message lists, each message stored once.

In: the system prompts, messages and tool schemas of requests. Out: `ContentRow`, `MessageNodeRow`
and `ToolSetRow`, only for what was not seen before. Agents resend their whole history with every
turn; a list is a chain of nodes, each the hash of its parent and its content, so a list that
extends an earlier one shares all of its nodes and storage grows with what is new.

A request may leave out what its server remembers, and name it: an earlier response, or a
conversation. Its list is then the earlier one, with what was answered to it, under its own system
prompt, and goes on with what it brings. Of an earlier one that is not known nothing is guessed:
the list begins with what the request brings.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import orjson

from collector.llm.model import Json, LlmRequest
from collector.redaction import TextRedactor
from collector.resent import Link, SentLists
from collector.rows import Batch, ContentRow, MessageNodeRow, ToolSetRow

_KNOWN_LIMIT = 200_000
_CHAINS_LIMIT = 20_000
_NODE_CHARS = 32
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
    prompt, which tells which conversation it continues. Of what the server remembered the chain
    holds only the last links. `system` are the hashes of the system prompts, which lead. `resent`:
    so many of the request's own messages led an earlier list."""

    leaf: str | None
    lineage: tuple[str, ...]
    length: int
    system: tuple[str, ...] = ()
    resent: int = field(default=0, compare=False)


class Conversations:
    """Turns requests into nodes and contents, remembering what was already given out."""

    def __init__(self, redact: TextRedactor, *, content: bool) -> None:
        self._redact = redact
        self._content = content
        self._known_contents = _Known()
        self._known_nodes = _Known()
        self._known_tool_sets = _Known()
        self._chains: OrderedDict[tuple[str, str], MessageList] = OrderedDict()
        self._sent = SentLists()
        self._at_ns: int | None = None

    def request(self, request: LlmRequest, batch: Batch, at_ns: int | None = None) -> MessageList:
        """Store what is new of a request's system prompt and messages, as of this time."""
        self._at_ns = at_ns
        system = tuple(
            [self._store("system", entry, _dump(entry), batch) for entry in request.system]
        )
        begun = self._remembered(request, system, batch)
        if begun is None:
            leaf: str | None = None
            for position, content_hash in enumerate(system):
                leaf = self._append(leaf, position, content_hash, batch)
            begun = MessageList(leaf, (), len(system), system)
        texts = [_dump(message) for message in request.messages]
        sent, same = (None, 0) if begun.lineage else self._sent.before(texts)
        links: list[Link] = []
        if sent is not None and sent.base == begun.leaf:
            links += sent.links[:same]
        elif sent is not None:  # under another system prompt
            leaf = begun.leaf
            for link in sent.links[:same]:
                leaf = self._append(leaf, begun.length + len(links), link.content_hash, batch)
                links.append(link._replace(node=leaf))
        new = zip(request.messages[same:], texts[same:], strict=True)
        self._extend(links, begun, new, batch, begun.lineage[-1:])
        if not begun.lineage:
            self._sent.put(begun.leaf, texts, links)
        return replace(_listed(begun, links, begun.lineage), resent=same)

    def extend(
        self,
        base: MessageList,
        output: Iterable[Json],
        batch: Batch,
        at_ns: int | None = None,
    ) -> MessageList:
        """Append what the model answered to the call that was started then."""
        self._at_ns = at_ns
        links: list[Link] = []
        new = ((message, _dump(message)) for message in output)
        self._extend(links, base, new, batch, base.lineage[-1:])
        return _listed(base, links, base.lineage[-1:])

    def answered(
        self, answered: MessageList, response_id: str | None, conversation_id: str | None
    ) -> None:
        """Remember a list with its answer under the names that later requests may give."""
        for key in (("response", response_id), ("conversation", conversation_id)):
            kind, name = key
            if name is not None:
                self._chains[kind, name] = answered
                self._chains.move_to_end((kind, name))
                if len(self._chains) > _CHAINS_LIMIT:
                    self._chains.popitem(last=False)

    def _extend(
        self,
        links: list[Link],
        base: MessageList,
        messages: Iterable[tuple[Json, bytes]],
        batch: Batch,
        last: tuple[str, ...],
    ) -> None:
        """Append messages, each with its text, to the links behind `base`; `last`: what came
        before them of the chain of messages."""
        leaf = links[-1].node if links else base.leaf
        previous = links[-1].lineage if links else "".join(last)
        position = base.length + len(links)
        for message, text in messages:
            content_hash = self._store("message", message, text, batch)
            leaf = self._append(leaf, position, content_hash, batch)
            position += 1
            previous = digest(previous.encode(), content_hash.encode())
            links.append(Link(content_hash, previous, leaf))

    def _remembered(
        self, request: LlmRequest, system: tuple[str, ...], batch: Batch
    ) -> MessageList | None:
        """What the server puts before a request's messages, under this system prompt."""
        base = self._chains.get(("response", request.previous_response_id or ""))
        if base is None and request.previous_response_id is None:
            base = self._chains.get(("conversation", request.conversation_id or ""))
        if base is None or base.system == system:
            return base
        hashes: list[str] = []
        node = base.leaf
        while node:
            value = self._known_nodes.get(node)
            if value is None:
                return None  # forgotten
            node, content_hash = value[:-_NODE_CHARS], value[-_NODE_CHARS:]
            hashes.append(content_hash)
        hashes = [*system, *hashes[::-1][len(base.system) :]]
        leaf: str | None = None
        for position, content_hash in enumerate(hashes):
            leaf = self._append(leaf, position, content_hash, batch)
        return MessageList(leaf, base.lineage, len(hashes), system)

    def tool_set(self, tools: Iterable[Json], batch: Batch) -> str | None:
        """Store tool schemas; the name of the set, None when it is empty."""
        hashes = [self._store("tool", tool, _dump(tool), batch) for tool in tools]
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
        if self._known_nodes.get(node) is None:
            self._known_nodes.put(node, (parent or "") + content_hash)
            batch.nodes.append(MessageNodeRow(node, parent, position, content_hash, self._at_ns))
        return node

    def _store(self, kind: str, entry: Json, body: bytes, batch: Batch) -> str:
        """The hash of the redacted content, so that a replay of masked frames gives the same."""
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


def _listed(base: MessageList, links: Sequence[Link], begun: tuple[str, ...]) -> MessageList:
    """`base` with links behind it; its lineage is what is `begun`, and theirs."""
    leaf = links[-1].node if links else base.leaf
    lineage = (*begun, *[link.lineage for link in links])
    return MessageList(leaf, lineage, base.length + len(links), base.system)


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested deeper than it writes; it reads four times as deep
        return _dump_nested(value)


def _dump_nested(value: Any) -> bytes:
    """The same text for a value of any depth."""
    parts: list[bytes] = []
    left = [value]  # values and, as bytes, what stands between them; the next one last
    while left:
        one = left.pop()
        if type(one) is bytes:
            parts.append(one)
        elif type(one) is dict:
            parts.append(b"{")
            inner = [part for key in one for part in (b",", _dump_scalar(key), b":", one[key])]
            left += [b"}", *reversed(inner[1:])]
        elif type(one) is list:
            parts.append(b"[")
            inner = [part for item in one for part in (b",", item)]
            left += [b"]", *reversed(inner[1:])]
        else:
            parts.append(_dump_scalar(one))
    return b"".join(parts)


def _dump_scalar(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, a lone surrogate
        return repr(value).encode("utf-8", "replace")


def _role(kind: str, entry: Json) -> str | None:
    if kind == "system":
        return "system"
    if kind == "message" and isinstance(entry, dict):
        role = entry.get("role") or entry.get("type")
        return role if isinstance(role, str) else None
    return None
