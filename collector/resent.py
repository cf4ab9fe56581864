"""What of a message list was in an earlier one already.

In: a list as the JSON texts of its messages. Out: to `collector.conversations`, how many of them
lead the last list that began with the same message, and what was made of them. Agents resend their
whole history with every turn: comparing texts costs a tenth of hashing them again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

LIMIT_BYTES = 64 << 20


class Link(NamedTuple):
    """One message of a list: its content's hash, the chain of messages up to it, and its node."""

    content_hash: str
    lineage: str
    node: str


@dataclass(frozen=True, slots=True)
class SentList:
    """A list as it was sent, behind the node `base`."""

    base: str | None
    texts: Sequence[bytes]
    links: Sequence[Link]
    size_bytes: int


class SentLists:
    """The last list that began with each first message; the oldest go beyond `limit_bytes`."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._lists: OrderedDict[bytes, SentList] = OrderedDict()
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Sizes of the texts that are remembered."""
        return self._held_bytes

    def before(self, texts: Sequence[bytes]) -> tuple[SentList | None, int]:
        """The last list with the same first message, and how many messages are the same."""
        last = self._lists.get(texts[0]) if texts else None
        if last is None:
            return None, 0
        same = 0
        for known, text in zip(last.texts, texts, strict=False):
            if known != text:
                break
            same += 1
        return last, same

    def put(self, base: str | None, texts: Sequence[bytes], links: Sequence[Link]) -> None:
        """Remember a list in place of the last one that began so."""
        if not texts:
            return
        replaced = self._lists.pop(texts[0], None)
        sent = SentList(base, texts, links, sum(map(len, texts)))
        self._held_bytes += sent.size_bytes - (replaced.size_bytes if replaced else 0)
        self._lists[texts[0]] = sent
        while self._held_bytes > self._limit_bytes:
            _, oldest = self._lists.popitem(last=False)
            self._held_bytes -= oldest.size_bytes
