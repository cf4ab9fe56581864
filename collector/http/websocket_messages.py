"""Puts the messages of one direction of a WebSocket together (RFC 6455, 5.4).

In: frames, unmasked, from `collector.http.websocket_frames`. Out: messages, decompressed. One
that cannot be whole has no data, and a reason:

    gap                bytes of it are missing
    inflate            it does not decompress
    after_loss         a message before it is missing that its compression refers to
    too_long           it is longer than the limit, as sent or decompressed
    unknown_extension  an extension that is not known has changed it
    broken             its frames do not belong together
    cut                the direction ended inside it
"""

from __future__ import annotations

from typing import NamedTuple

from collector.http.websocket_deflate import Inflater
from collector.http.websocket_search import FIN, RSV, RSV1, TEXT

_FRAGMENT_BYTES = 64  # what a kept fragment costs beside its bytes


class Message(NamedTuple):
    """One message. `wire_bytes` are those of its frames that were seen, `lost_bytes` those known
    to be missing. `several`: any number of messages is missing with it."""

    first_ns: int
    last_ns: int
    text: bool
    data: bytes | None
    wire_bytes: int
    lost_bytes: int = 0
    reason: str | None = None
    several: bool = False


class DataFrame(NamedTuple):
    """A frame that is no control frame. `payload` is None when it was not kept, for `reason`."""

    began_ns: int
    ended_ns: int
    first: int  # its first byte: FIN, RSV and opcode
    payload: bytes | None
    wire_bytes: int
    lost_bytes: int = 0
    reason: str | None = None


class _Fragments:
    """A message in more than one frame, as far as it has come."""

    __slots__ = (
        *("compressed", "first_ns", "kept_bytes", "lost_bytes"),
        *("pieces", "reason", "text", "wire_bytes"),
    )

    def __init__(self, frame: DataFrame) -> None:
        opcode = frame.first & 0x0F
        self.first_ns = frame.began_ns
        self.text = opcode == TEXT
        self.compressed = bool(frame.first & RSV1) or not opcode  # one without a start may be
        self.reason = None if opcode else "broken"
        self.pieces: list[bytes] = []
        self.kept_bytes = self.wire_bytes = self.lost_bytes = 0


class MessageJoiner:
    """One direction. `inflater`: None when compression was not agreed."""

    def __init__(self, inflater: Inflater | None, limit_bytes: int) -> None:
        self._inflater = inflater
        self._limit_bytes = limit_bytes
        self._open: _Fragments | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes on the wire of a message that has not ended."""
        return self._open.wire_bytes if self._open is not None else 0

    @property
    def kept_bytes(self) -> int:
        """What such a message holds of the limit."""
        return self._open.kept_bytes if self._open is not None else 0

    def frame(self, frame: DataFrame) -> list[Message]:
        """Take a frame; the messages that end with it, or that it shows to be broken."""
        opcode, messages = frame.first & 0x0F, []
        if opcode and self._open is not None:
            messages.append(self._end(self._open, "broken", frame.began_ns))
        if opcode and frame.first & FIN and frame.payload is not None:
            data, reason = self._opened(frame.first, frame.payload)
            began_ns, ended_ns, _, _, wire_bytes, _, _ = frame
            messages.append(
                Message(began_ns, ended_ns, opcode == TEXT, data, wire_bytes, 0, reason)
            )
            return messages
        held = self._open
        if held is None:
            held = self._open = _Fragments(frame)
            if not self._understood(frame.first):
                held.reason = "unknown_extension"
        held.wire_bytes += frame.wire_bytes
        held.lost_bytes += frame.lost_bytes
        if frame.payload is None:
            held.reason = held.reason or frame.reason
        elif held.reason is None:
            held.pieces.append(frame.payload)
            held.kept_bytes += len(frame.payload) + _FRAGMENT_BYTES
            if held.kept_bytes > self._limit_bytes:
                held.reason = "too_long"
        if held.reason is not None:
            held.pieces.clear()
            held.kept_bytes = 0
        if frame.first & FIN:
            messages.append(self._end(held, None, frame.ended_ns))
        return messages

    def cut(self, reason: str, ktime_ns: int) -> list[Message]:
        """No frame follows: a message that is under way is never to be whole."""
        return [self._end(self._open, reason, ktime_ns)] if self._open is not None else []

    def lose(self) -> None:
        """Any number of messages is missing, and what was under way with them."""
        self._open = None
        if self._inflater is not None:
            self._inflater.lose()

    def _end(self, held: _Fragments, reason: str | None, ktime_ns: int) -> Message:
        self._open = None
        data: bytes | None = None
        reason = held.reason or reason
        if reason is None:
            data, reason = self._opened(RSV1 if held.compressed else 0, b"".join(held.pieces))
        elif held.compressed and self._inflater is not None:
            self._inflater.lose()
        return Message(
            *(held.first_ns, ktime_ns, held.text, data),
            *(held.wire_bytes, held.lost_bytes, reason),
        )

    def _understood(self, first: int) -> bool:
        return not first & RSV or (first & RSV == RSV1 and self._inflater is not None)

    def _opened(self, first: int, payload: bytes) -> tuple[bytes | None, str | None]:
        """The data of a whole message, or why there is none."""
        inflater = self._inflater
        if not first & RSV:
            return payload, None
        if inflater is None or first & RSV != RSV1:
            return None, "unknown_extension"
        if inflater.broken:
            return None, "after_loss"
        data = inflater.message(payload)
        if data is not None:
            return data, None
        return None, "too_long" if inflater.too_long else "inflate"
