"""Finds the beginning of a frame in the bytes of a WebSocket after its place was lost.

In: the bytes behind the loss. Out: those from a frame's first byte on, to
`collector.http.websocket_frames`. A header says little that random bytes would not, so several
have to follow one another, each where the frame before it ends (RFC 6455, 5.2).
"""

from __future__ import annotations

import re

HOLD_BYTES = 1 << 20  # how far apart the first and the last of the headers may stand
_CHAIN = 4

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV = 0x80, 0x40, 0x70
MASKED = 0x80
MAX_CONTROL_BYTES = 125


def first_bytes(*, deflate: bool, any_rsv: bool) -> frozenset[int]:
    """What the first byte of a frame may be, with these extensions."""
    plain = [fin | opcode for fin in (0, FIN) for opcode in (CONTINUATION, TEXT, BINARY)]
    control = [FIN | opcode for opcode in (CLOSE, PING, PONG)]
    if any_rsv:
        return frozenset(byte | rsv for byte in plain + control for rsv in range(0, 0x80, 0x10))
    compressed = [byte | RSV1 for byte in plain if byte & 0x0F] if deflate else []
    return frozenset(plain + control + compressed)


class FrameSearch:
    """One search. `masked`: whether the direction's frames are; None: not known.

    `found` holds, once there is a beginning, the bytes from it on with the times they came.
    """

    def __init__(self, valid: frozenset[int], masked: bool | None) -> None:
        self._valid = valid
        self._masked = masked
        starts = bytes(byte for byte in valid if byte & FIN and byte & 0x0F)
        second = {None: b"", True: b"[\x80-\xff]", False: b"[\x00-\x7f]"}[masked]
        self._candidate = re.compile(b"[" + re.escape(starts) + b"]" + second, re.DOTALL)
        self._held = bytearray()
        self._pieces: list[tuple[bytes, int]] = []
        self.found: list[tuple[bytes, int]] | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes that may belong to a frame."""
        return len(self._held)

    def feed(self, data: bytes, ktime_ns: int) -> int:
        """Take bytes; how many, counted from the first one held, begin no frame."""
        held = self._held
        held += data
        self._pieces.append((data, ktime_ns))
        at = 0
        while True:
            match = self._candidate.search(held, at)
            if match is None:
                last = bool(held) and held[-1] in self._valid  # its second byte is to come
                self._drop(passed := len(held) - last)
                return passed
            at = match.start()
            verdict = self._begins(at)
            if verdict is False:
                at += 1
                continue
            self._drop(at)
            if verdict:
                self.found, self._pieces = self._pieces, []
                held.clear()
            return at

    def clear(self) -> int:
        """Drop what is held; how many bytes that were."""
        dropped = len(self._held)
        self._held.clear()
        self._pieces.clear()
        return dropped

    def _drop(self, count: int) -> None:
        del self._held[:count]
        pieces = self._pieces
        whole = 0
        while whole < len(pieces) and len(pieces[whole][0]) <= count:
            count -= len(pieces[whole][0])
            whole += 1
        del pieces[:whole]
        if count:
            data, ktime_ns = pieces[0]
            pieces[0] = (data[count:], ktime_ns)

    def _begins(self, start: int) -> bool | None:
        """Does a frame begin there? None: too little is there to tell."""
        at = start
        for _ in range(_CHAIN):
            if at - start > HOLD_BYTES:
                return False
            size = _frame_bytes(self._held, at, self._valid, self._masked)
            if not size:
                return None if size is None else False
            at += size
        return True


def _frame_bytes(
    data: bytearray, at: int, valid: frozenset[int], masked: bool | None
) -> int | None:
    """Header and payload of a frame; 0: none begins there, None: too little is there."""
    rest = len(data) - at
    if rest > 0 and data[at] not in valid:
        return 0
    if rest < 2:
        return None
    first, second = data[at], data[at + 1]
    has_mask, length = second >= MASKED, second & 0x7F
    if masked is not None and has_mask != masked:
        return 0
    extended = {126: 2, 127: 8}.get(length, 0)
    if first & 0x08 and extended:
        return 0
    if extended:
        if rest < 2 + extended:
            return None
        length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        if length < (126 if extended == 2 else 1 << 16):
            return 0  # a shorter form would have done
    return 2 + extended + 4 * has_mask + length
