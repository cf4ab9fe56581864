"""Secrets are masked here, before anything else sees a byte.

In: frames from the probe. Out: the same frames, with credentials overwritten in place: every
length and position stays, so recordings and live capture decode alike. A mask carries a salted
fingerprint where it fits (`[redacted:1a2b3c4d]`), which keeps "which key was used" countable;
a secret that is cut over two reads is masked in both parts and has no fingerprint.

Masked: the values of credential headers and query parameters; known key shapes in bodies, in paths
and in argv; values after credential-like flags and assignments in argv (`secret_shapes`). HTTP/2
and WebSockets are taken apart for that where frames are kept (`http2_redaction`,
`websocket_redaction`). `redact_text` does the same for text that only decoding joins, such as a key
that a model streamed in pieces. Masking what is masked already changes nothing.

What was read from sensitive files leaves as fingerprints (`collector.fingerprints`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from collector import secret_shapes as shapes
from collector.fingerprints import ContentReads, Fingerprinter
from collector.http.websocket_deflate import Extensions
from collector.http2_redaction import Http2Redaction
from collector.huffman_mask import is_mask
from collector.path_masks import secrets_in
from collector.secret_shapes import Span
from collector.websocket_redaction import SocketOpening, SocketRedaction
from probes import frames
from probes.events import FileContent, ProcessSeen, Source

_MASKED = re.compile(rb"(?:\*|\[redacted:[0-9a-f]{8}\])+")
_MARK_BYTES = 19
_TAIL_LIMIT_BYTES = 16384
_HEAD_END = b"\r\n\r\n"
_HEAD_LIMIT_BYTES = 256 << 10


class _Stream:
    """What one direction of a connection left open at the end of its last read."""

    __slots__ = (
        *("head_bytes", "http1", "http2", "opening"),
        *("secrets", "socket", "socket_blanked_bytes", "tail"),
    )

    def __init__(self, secrets: Redactor) -> None:
        self.tail = b""  # the end of what was read, from where an open line or key begins
        self.head_bytes = 0  # of the head that is being read; 0: not in one
        self.http1 = False  # a head was read
        self.secrets = secrets
        self.http2 = Http2Redaction(secrets)
        self.opening = SocketOpening()
        self.socket: SocketRedaction | None = None
        self.socket_blanked_bytes = 0  # of sockets that ended

    @property
    def blanked_bytes(self) -> int:
        """Of HTTP/2 and WebSockets."""
        open_bytes = self.socket.blanked_bytes if self.socket is not None else 0
        return self.http2.blanked_bytes + self.socket_blanked_bytes + open_bytes

    def end_socket(self) -> None:
        """What comes next is HTTP."""
        self.socket_blanked_bytes = self.blanked_bytes - self.http2.blanked_bytes
        self.socket = None


class Redactor:
    """Masks secrets in frames and text. Fingerprints depend on `salt` alone.

    With `bodies`, key shapes are also masked in the bytes of bodies, which takes a search through
    all of them: needed where frames themselves are kept. Without, bodies and all of HTTP/2 pass,
    and whoever stores text from them must pass it through `redact_text`.
    """

    def __init__(self, salt: bytes, *, bodies: bool = True) -> None:
        self.fingerprinter = Fingerprinter(salt)
        self._reads = ContentReads(self.fingerprinter)
        self._bodies = bodies
        self._streams: dict[bytes, _Stream] = {}
        self._socket_of: dict[bytes, bytes] = {}  # by half of a connection
        self._half_of: dict[bytes, bytes] = {}  # by socket and direction
        self._blanked_bytes = 0  # of connections that were closed

    @property
    def open_streams(self) -> int:
        """Directions of connections that were not closed yet."""
        return len(self._streams)

    def fingerprint(self, secret: bytes) -> str:
        """Eight hex digits that tell keys apart and do not give them away."""
        return f"{self.fingerprinter.of(secret) >> 32:08x}"

    @property
    def blanked_bytes(self) -> int:
        """Bytes of HTTP/2 header blocks and WebSocket messages, and of what may be such, that were
        blanked because credentials in them could not be told or masked."""
        return self._blanked_bytes + sum(stream.blanked_bytes for stream in self._streams.values())

    def header_value(self, name: bytes, value: bytes) -> bytes:
        """A decoded header's value with its secrets masked, as HTTP/1 heads have them.

        Masks stay, also those of Huffman-coded values. What else is secret in frames that were
        masked before is part of a mask that two reads cut, and gets no fingerprint.
        """
        spans = shapes.in_header(name, value)
        if not spans:
            return value
        parts, at = [], 0
        for start, end in spans:
            secret = value[start:end]
            if not (_MASKED.fullmatch(secret) or is_mask(secret)):
                secret = b"*" * len(secret) if self._bodies else self.mask(secret)
            parts += [value[at:start], secret]
            at = end
        parts.append(value[at:])
        return b"".join(parts)

    # What `collector.header_masks.Secrets` asks for

    def in_header(self, name: bytes | None, value: bytes, *, cut: bool) -> list[Span]:
        """Secret parts of a header's value, in order and apart; `cut`: more of it follows."""
        return shapes.in_header(name, value, cut=cut)

    def in_body(self, tail: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Body bytes with key shapes masked, and the tail for the bytes that follow."""
        window = tail + data if tail else data
        spans, open_at = shapes.in_body(window)
        if b"HTTP/1." in window:  # a dump of HTTP/1, or a connection that was taken for another
            spans += shapes.in_head(window)
        if spans:
            data = self._overwrite(window, spans, begin=len(tail), cut_at=len(window))
        return data, _kept(window, open_at)

    def mark(self, secret: bytes) -> bytes:
        """The fingerprint as it stands in masks."""
        return b"[redacted:%s]" % self.fingerprint(secret).encode()

    def mask(self, secret: bytes) -> bytes:
        """Bytes of equal length; the secret itself when it is masked already."""
        if _MASKED.fullmatch(secret):
            return secret
        if len(secret) < _MARK_BYTES:
            return b"*" * len(secret)
        return self.mark(secret) + b"*" * (len(secret) - _MARK_BYTES)

    # Frames

    def frame(self, frame: bytes) -> bytes:
        """The frame itself when it holds no secret, else a masked copy of equal length; for the
        content of a file its fingerprints."""
        kind = frame[4]
        if kind == frames.PLAIN_DATA:
            return self._plain_data(frame)
        if kind == frames.PROCESS_EXECUTED:
            raw = frame[frames.ARGV_OFFSET :]
            masked = self._argv(raw)
            return frame if masked == raw else frame[: frames.ARGV_OFFSET] + masked
        if kind == frames.PROCESS_SEEN:
            return self._process_seen(frame)
        if kind in (frames.FILE_TOUCHED, frames.CONNECTED):
            spans = secrets_in(frame)
            return self._overwrite(frame, spans) if spans else frame
        if kind == frames.FILE_CONTENT:
            return self._file_content(frame)
        if kind == frames.CONNECTION_CLOSED:
            identity = frame[16:40] + frame[40:44]
            for direction in (b"\0", b"\1"):
                stream = self._streams.pop(identity + direction, None)
                if stream is not None:
                    self._blanked_bytes += stream.blanked_bytes
                joined = self._socket_of.pop(identity + direction, None)
                if joined is not None:
                    self._half_of.pop(joined + direction, None)
        elif kind == frames.HALF_JOINED and self._bodies:
            self._half_joined(frame)
        elif kind == frames.PROCESS_EXITED:
            self._reads.ended(int.from_bytes(frame[24:28], "little"))
        return frame

    def _plain_data(self, frame: bytes) -> bytes:
        # start_ns, SSL*, epoch; tgid; direction
        identity = frame[16:40] + frame[48:52] + frame[60:61]
        stream = self._streams.get(identity)
        if stream is None:
            stream = self._streams[identity] = _Stream(self)
        data = frame[frames.PLAIN_DATA_OFFSET :]
        masked = None
        if stream.socket is not None:
            masked = self._socket_data(stream, stream.socket, identity, frame, data)
        if masked is None and (
            data and self._bodies and stream.http2.concerns(data, http1=stream.http1)
        ):
            masked = self._http2_data(stream, identity, frame, data)
            if masked is not None and stream.http2.zeroed is not None:
                frame = frames.with_blank(frame, *stream.http2.zeroed)
        if masked is None:
            masked = self._http1_data(stream, identity, frame, data)
        return frame if masked is data else frame[: frames.PLAIN_DATA_OFFSET] + masked

    def _half_joined(self, frame: bytes) -> None:
        """Two directions that have keys of their own belong to one socket."""
        if len(frame) < 56:
            return
        direction = frame[44:45]
        identity = frame[16:44] + direction
        socket = frame[16:24] + frame[40:44] + frame[48:56]
        self._socket_of[identity], self._half_of[socket + direction] = socket, identity
        one, other = self._streams.get(identity), self._other(identity)
        if one is not None and other is not None:
            _agree(one, other)
            _agree(other, one)

    def _other(self, identity: bytes) -> _Stream | None:
        """The other direction of a connection, as far as it is known."""
        direction = bytes([not identity[-1]])
        socket = self._socket_of.get(identity)
        if socket is None:
            return self._streams.get(identity[:-1] + direction)
        return self._streams.get(self._half_of.get(socket + direction, b""))

    def _http2_data(
        self, stream: _Stream, identity: bytes, frame: bytes, data: bytes
    ) -> bytes | None:
        if frame[61] == Source.CHANNEL:
            return None
        http2, prefaces = stream.http2, stream.http2.prefaces
        masked = http2.read(data, _position(frame), http1=stream.http1)
        if http2.prefaces != prefaces:  # of the connection's other direction nothing is left
            other = self._other(identity)
            if other is not None:
                other.http2.restart()
        return masked

    def _socket_data(
        self, stream: _Stream, socket: SocketRedaction, identity: bytes, frame: bytes, data: bytes
    ) -> bytes | None:
        masked = socket.read(data, _position(frame))
        if masked is None:  # another connection has taken the handle, or it was refused
            stream.end_socket()
            other = self._other(identity)
            if other is not None and not socket.server:
                other.end_socket()
        return masked

    def _open_socket(
        self, stream: _Stream, identity: bytes, position: int, agreed: Extensions | None
    ) -> None:
        stream.socket = SocketRedaction(self, position, agreed, server=agreed is not None)
        stream.tail, stream.head_bytes = b"", 0
        other = self._other(identity)
        if agreed is not None and other is not None:
            _agree(stream, other)

    def _http1_data(self, stream: _Stream, identity: bytes, frame: bytes, data: bytes) -> bytes:
        found = None
        if self._bodies and stream.opening.concerns(data) and frame[61] != Source.CHANNEL:
            found = stream.opening.read(data)
        if found is None:
            return self._stream_data(stream, data)
        begin, agreed = found
        head = self._stream_data(stream, data[:begin] if begin < len(data) else data)
        self._open_socket(stream, identity, _position(frame) + begin, agreed)
        if begin == len(data):
            return head
        rest = data[begin:]
        masked = stream.socket.read(rest, _position(frame) + begin) if stream.socket else None
        if masked is None:
            stream.end_socket()
            masked = self._stream_data(stream, rest)
        return head + masked

    def _stream_data(self, stream: _Stream, data: bytes) -> bytes:
        held = stream.tail
        in_head = (
            stream.head_bytes > 0
            or b"HTTP/1." in data
            or b"HTTP/1." in held[-6:] + data[:6]
            or shapes.CUT_START_LINE.match(data) is not None
        )
        if not (in_head or self._bodies):
            stream.tail = (held + data[-shapes.TAIL_BYTES :])[-shapes.TAIL_BYTES :]
            return data
        window = held + data if held else data
        if not self._bodies:
            end = window.find(_HEAD_END, window.rfind(b"HTTP/1."))
            cut = shapes.CUT_START_LINE.match(window, window.rfind(b"\n") + 1)
            if end >= 0 and cut is None:  # a body follows, which passes
                stream.http1, stream.head_bytes = True, 0
                stream.tail = window[-shapes.TAIL_BYTES :]
                head = window[: end + len(_HEAD_END)]
                spans = shapes.keys(head) + shapes.in_head(head)
                return self._overwrite(window, spans, begin=len(held)) if spans else data
        spans, open_at = shapes.in_body(window)
        if in_head:
            stream.http1 = True
            spans += shapes.in_head(window)
            open_at = min(open_at, _open_line(stream, window, len(held)))
        stream.tail = _kept(window, open_at)
        if not spans:
            return data
        return self._overwrite(window, spans, begin=len(held), cut_at=len(window))

    def _overwrite(
        self, window: bytes, spans: Iterable[Span], *, begin: int = 0, cut_at: int = -1
    ) -> bytes:
        """The window from `begin` on, masked. A secret is known whole unless it begins before
        that or ends at `cut_at`."""
        result, at = [], begin
        for start, end in shapes.merged(spans):
            secret = window[start:end]
            if end <= begin or _MASKED.fullmatch(secret):
                continue
            whole = start >= begin and end != cut_at
            start = max(start, begin)
            result += [window[at:start], self.mask(secret) if whole else b"*" * (end - start)]
            at = end
        if not result:
            return window[begin:]
        result.append(window[at:])
        return b"".join(result)

    # Processes

    def _argv(self, raw: bytes) -> bytes:
        masked = []
        before = b""
        for part in raw.split(b"\0"):
            if shapes.FLAG.match(before) and not part.startswith(b"--"):
                spans = [(0, len(part))]
            else:
                pattern = (
                    shapes.IN_SCRIPT if shapes.SCRIPT_FLAG.fullmatch(before) else shapes.ARGUMENT
                )
                spans = [match.span(match.lastindex or 0) for match in pattern.finditer(part)]
                spans += shapes.in_head(part) + shapes.keys(part)
            masked.append(self._overwrite(part, spans) if spans else part)
            before = part
        return b"\0".join(masked)

    def _process_seen(self, frame: bytes) -> bytes:
        event = frames.decode(frame)
        if not isinstance(event, ProcessSeen):
            return frame
        raw = "\0".join(event.argv).encode("utf-8", "replace")
        masked = self._argv(raw)
        if masked == raw:
            return frame
        argv = tuple(masked.decode("utf-8", "replace").split("\0"))
        return frames.encode(replace(event, argv=argv))

    # Files

    def _file_content(self, frame: bytes) -> bytes:
        event = frames.decode(frame)
        if isinstance(event, FileContent):
            return frames.encode_fingerprints(self._reads.fingerprints(event))
        return frames.without_payload(frame)

    # Text

    def redact_text(self, text: str) -> str:
        """The text with key shapes masked; the text itself when there are none."""
        raw = text.encode("utf-8", "surrogatepass")
        if not shapes.may_hold_key(raw):
            return text
        spans = shapes.keys(raw)
        if not spans:
            return text
        return self._overwrite(raw, spans).decode("utf-8", "surrogatepass")

    def redact_growing(self, text: str) -> str:
        """The same for text that goes on: what may become a key at its end is masked, too."""
        raw = text.encode("utf-8", "surrogatepass")
        if not shapes.may_hold_key(raw):
            return text
        spans, _ = shapes.in_body(raw)
        if not spans:
            return text
        return self._overwrite(raw, spans, cut_at=len(raw)).decode("utf-8", "surrogatepass")


def _position(frame: bytes) -> int:
    return int.from_bytes(frame[40:48], "little")


def _agree(server: _Stream, client: _Stream) -> None:
    """Tell a client's direction what the server's answer says, if that was seen."""
    if server.socket is None or server.socket.agreed is None:
        return
    if client.socket is None:
        client.socket = SocketRedaction(client.secrets, None, server.socket.agreed, server=False)
    elif not client.socket.server:
        client.socket.agree(server.socket.agreed)


def _kept(window: bytes, open_at: int) -> bytes:
    """The end of a window from `open_at` on; when that is long, how it begins and how it ends."""
    tail = window[open_at:]
    if len(tail) <= _TAIL_LIMIT_BYTES:
        return tail
    return tail[: shapes.TAIL_BYTES] + tail[shapes.TAIL_BYTES - _TAIL_LIMIT_BYTES :]


def _open_line(stream: _Stream, window: bytes, begin: int) -> int:
    """Where the unfinished line of a head begins; the window's end when the head is whole."""
    end = max(
        window.rfind(b"\r\n\r\n", max(0, begin - 3)), window.rfind(b"\n\n", max(0, begin - 1))
    )
    if end >= 0 and end > window.rfind(b"HTTP/1."):
        stream.head_bytes = 0
        return len(window)
    stream.head_bytes += len(window) - begin
    if stream.head_bytes > _HEAD_LIMIT_BYTES:
        stream.head_bytes = 0
    return max(0, window.rfind(b"\n") - 2)  # with the line break: a second one ends the head


def without_secrets(name: bytes, value: bytes) -> bytes:
    """A header's value with its secrets overwritten, without fingerprints."""
    for start, end in shapes.in_header(name, value):
        value = value[:start] + b"*" * (end - start) + value[end:]
    return value


TextRedactor = Callable[[str], str]
HeaderRedactor = Callable[[bytes, bytes], bytes]  # name in lower case, and value
