"""Secrets are masked here, before anything else sees a byte.

In: frames from the probe. Out: the same frames, with credentials overwritten in place: every
length and position stays, so recordings and live capture decode alike. A mask carries a salted
fingerprint where it fits (`[redacted:1a2b3c4d]`), which keeps "which key was used" countable;
a secret that is cut over two reads is masked in both parts and has no fingerprint.

Masked: the values of credential headers and query parameters; known key shapes in bodies and in
argv; values after credential-like flags and assignments in argv. `redact_text` does the same for
text that only decoding joins, such as a key that a model streamed in pieces. Masking what is
masked already changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from probes import frames
from probes.events import ProcessSeen

_HEADER_NAMES = (
    rb"authorization|proxy-authorization|x-api-key|api-key|x-goog-api-key|x-goog-iam-authorization-token"
    rb"|cookie|set-cookie|x-auth-token|x-amz-security-token|x-access-token|x-github-token"
    rb"|openai-api-key|anthropic-api-key|x-csrf-token|mcp-session-token"
)
_SCHEME = rb"(?:(?:bearer|basic|token|apikey)[ \t]+)?"
_HEADER = re.compile(
    rb"(?im)^(?:" + _HEADER_NAMES + rb")[ \t]*:[ \t]*" + _SCHEME + rb"(\S[^\r\n]*)"
)
_QUERY = re.compile(
    rb"(?i)[?&](?:key|api_?key|access_token|auth_token|token|signature|sig|password)="
    rb"([^&\s#\"'\\<>]+)"
)
# A request or status line of which the rest, or even the version, has not come yet.
_CUT_START_LINE = re.compile(rb"(?:[A-Z]{1,16}(?: [^\s\"]*(?: H?T?T?P?/?1?)?)?|HTTP?/?1?)\Z")

# How keys look: beginning, characters that follow, and how many of them at least.
_SHAPES = (
    (rb"sk-", rb"[\w-]", 16),
    (rb"gh[pousr]_", rb"\w", 20),
    (rb"github_pat_", rb"\w", 20),
    (rb"AKIA", rb"[0-9A-Z]", 16),
    (rb"ASIA", rb"[0-9A-Z]", 16),
    (rb"AIza", rb"[\w-]", 30),
    (rb"xox[abeprs]-", rb"[\w-]", 10),
    (rb"hf_", rb"[A-Za-z0-9]", 20),
    (rb"gsk_", rb"[A-Za-z0-9]", 20),
    (rb"glpat-", rb"[\w-]", 16),
    (rb"npm_", rb"[A-Za-z0-9]", 30),
    (rb"ya29\.", rb"[\w-]", 20),
    (rb"xai-", rb"[A-Za-z0-9]", 20),
)
_BEARERS = (rb"Bearer[ \t]+", rb"bearer[ \t]+", rb"BEARER[ \t]+")


def _apart(beginning: bytes) -> bytes:
    """What begins a word: no letter or digit is before it, but for a JSON escape's (`\n`).

    The look back comes last, so that a search can go by the first letters of all shapes.
    """
    back = (rb"(?<![A-Za-z0-9]%s)", rb"(?<=\\[bfnrt]%s)", rb"(?<=\\u[0-9A-Fa-f]{4}%s)")
    return beginning + rb"(?:%s)" % b"|".join(part % beginning for part in back)


_KEYS = re.compile(
    b"|".join(
        [
            *(rb"%s%s{%d,}" % (_apart(shape), chars, least) for shape, chars, least in _SHAPES),
            _apart(rb"eyJ") + rb"[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
            *(bearer + rb"([A-Za-z0-9._~+/-]{16,}=*)" for bearer in _BEARERS),
            rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"
            rb"((?:[A-Za-z0-9+/=\s:,]|\\(?:[nrtu\\/]|\Z)|-(?!----))+)",
        ]
    )
)
# The same, where the bytes at hand end before the key does.
_CUT_KEY = re.compile(
    b"|".join(
        [
            *(rb"%s(%s*)\Z" % (_apart(shape), chars) for shape, chars, _ in _SHAPES),
            _apart(rb"eyJ") + rb"([\w-]*(?:\.[\w-]*){0,2})\Z",
            *(bearer + rb"([A-Za-z0-9._~+/-]*=*)\Z" for bearer in _BEARERS),
        ]
    )
)
_KEY_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"

_CREDENTIAL = (
    rb"[\w-]{0,64}"
    rb"(?:api[_-]?key|token(?!s|iz)|secret|passw(?:or)?d|authorization|credential)[\w-]{0,64}"
)
_FLAG = re.compile(rb"(?i)^--?" + _CREDENTIAL + rb"$")
_ARGUMENT = re.compile(
    rb"(?is)^(?:--?|export )?" + _CREDENTIAL + rb"[=:][ \t]*" + _SCHEME + rb"(.+)\Z"
)
_SCRIPT_FLAG = re.compile(rb"-[a-z]*c")  # what follows is a shell's or interpreter's script
_IN_SCRIPT = re.compile(
    rb"(?i)(?<![\w-])(?:" + _CREDENTIAL + rb"(?:=|:[ \t]*)|--" + _CREDENTIAL + rb"[ \t]+)"
    rb"(?:\"([^\"]+)\"|'([^']+)'|" + _SCHEME + rb"([^\s;&|\"'`()]+))"
)
_MASKED = re.compile(rb"(?:\*|\[redacted:[0-9a-f]{8}\])+")
_TAIL_BYTES = 256
_TAIL_LIMIT_BYTES = 16384
_HEAD_LIMIT_BYTES = 256 << 10

_Span = tuple[int, int]


class _Stream:
    """What one direction of a connection left open at the end of its last read."""

    __slots__ = ("head_bytes", "tail")

    def __init__(self) -> None:
        self.tail = b""  # the end of what was read, from where an open line or key begins
        self.head_bytes = 0  # of the head that is being read; 0: not in one


class Redactor:
    """Masks secrets in frames and text. Fingerprints depend on `salt` alone.

    With `bodies`, key shapes are also masked in the bytes of bodies, which takes a search through
    all of them: needed where frames themselves are kept. Without, bodies pass, and whoever stores
    text from them must pass it through `redact_text`.
    """

    def __init__(self, salt: bytes, *, bodies: bool = True) -> None:
        self._salt = salt
        self._bodies = bodies
        self._streams: dict[bytes, _Stream] = {}

    @property
    def open_streams(self) -> int:
        """Directions of connections that were not closed yet."""
        return len(self._streams)

    def fingerprint(self, secret: bytes) -> str:
        """Eight hex digits that tell keys apart and do not give them away."""
        return hmac.new(self._salt, secret, hashlib.blake2b).hexdigest()[:8]

    def _mask(self, secret: bytes) -> bytes:
        if len(secret) < 19:
            return b"*" * len(secret)
        mark = b"[redacted:%s]" % self.fingerprint(secret).encode()
        return mark + b"*" * (len(secret) - len(mark))

    # Frames

    def frame(self, frame: bytes) -> bytes:
        """The frame itself when it holds no secret, else a masked copy of equal length."""
        kind = frame[4]
        if kind == frames.PLAIN_DATA:
            return self._plain_data(frame)
        if kind == frames.PROCESS_EXECUTED:
            raw = frame[frames.ARGV_OFFSET :]
            masked = self._argv(raw)
            return frame if masked == raw else frame[: frames.ARGV_OFFSET] + masked
        if kind == frames.PROCESS_SEEN:
            return self._process_seen(frame)
        if kind == frames.CONNECTION_CLOSED:
            identity = frame[16:40] + frame[40:44]
            self._streams.pop(identity + b"\0", None)
            self._streams.pop(identity + b"\1", None)
        return frame

    def _plain_data(self, frame: bytes) -> bytes:
        # start_ns, SSL*, epoch; tgid; direction
        identity = frame[16:40] + frame[48:52] + frame[60:61]
        stream = self._streams.get(identity)
        if stream is None:
            stream = self._streams[identity] = _Stream()
        data = frame[frames.PLAIN_DATA_OFFSET :]
        masked = self._stream_data(stream, data)
        return frame if masked is data else frame[: frames.PLAIN_DATA_OFFSET] + masked

    def _stream_data(self, stream: _Stream, data: bytes) -> bytes:
        held = stream.tail
        in_head = (
            stream.head_bytes > 0
            or b"HTTP/1." in data
            or b"HTTP/1." in held[-6:] + data[:6]
            or _CUT_START_LINE.match(data) is not None
        )
        if not (in_head or self._bodies):
            stream.tail = (held + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
            return data
        window = held + data if held else data
        end = len(window)
        open_at = max(0, end - _TAIL_BYTES)
        spans: list[_Span] = []
        if in_head:
            spans += [match.span(1) for match in _HEADER.finditer(window)]
            spans += [match.span(1) for match in _QUERY.finditer(window)]
            open_at = min(open_at, _open_line(stream, window, len(held)))
        if _may_hold_key(window):
            for match in _KEYS.finditer(window):
                spans.append(match.span(match.lastindex or 0))
                if match.end() == end:
                    open_at = min(open_at, match.start())
            run_at = len(window.rstrip(_KEY_BYTES))
            cut = run_at < end and _CUT_KEY.search(window, max(0, run_at - 16))
            if cut:
                spans.append(cut.span(cut.lastindex or 0))
                open_at = min(open_at, cut.start())
        stream.tail = window[open_at:]
        if len(stream.tail) > _TAIL_LIMIT_BYTES:  # how it begins says what it is
            stream.tail = stream.tail[:_TAIL_BYTES] + stream.tail[_TAIL_BYTES - _TAIL_LIMIT_BYTES :]
        if not spans:
            return data
        return self._overwrite(window, spans, begin=len(held), cut_at=end)

    def _overwrite(
        self, window: bytes, spans: Iterable[_Span], *, begin: int = 0, cut_at: int = -1
    ) -> bytes:
        """The window from `begin` on, masked. A secret is known whole unless it begins before
        that or ends at `cut_at`."""
        result, at = [], begin
        for start, end in _merged(spans):
            secret = window[start:end]
            if end <= begin or _MASKED.fullmatch(secret):
                continue
            whole = start >= begin and end != cut_at
            start = max(start, begin)
            result += [window[at:start], self._mask(secret) if whole else b"*" * (end - start)]
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
            if _FLAG.match(before) and not part.startswith(b"--"):
                spans = [(0, len(part))]
            else:
                pattern = _IN_SCRIPT if _SCRIPT_FLAG.fullmatch(before) else _ARGUMENT
                spans = [match.span(match.lastindex or 0) for match in pattern.finditer(part)]
                spans += [match.span(1) for match in _HEADER.finditer(part)]
                spans += [match.span(1) for match in _QUERY.finditer(part)]
                spans += [match.span(match.lastindex or 0) for match in _KEYS.finditer(part)]
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

    # Text

    def redact_text(self, text: str) -> str:
        """The text with key shapes masked; the text itself when there are none."""
        raw = text.encode("utf-8", "surrogatepass")
        if not _may_hold_key(raw):
            return text
        spans = [match.span(match.lastindex or 0) for match in _KEYS.finditer(raw)]
        if not spans:
            return text
        return self._overwrite(raw, spans).decode("utf-8", "surrogatepass")


def _may_hold_key(window: bytes) -> bool:
    """A plain search for what keys begin with; written out, as a loop costs more than it."""
    return (
        b"sk-" in window
        or b"eyJ" in window
        or b"earer " in window
        or b"earer\t" in window
        or b"EARER" in window
        or b"ghp_" in window
        or b"gho_" in window
        or b"ghu_" in window
        or b"ghs_" in window
        or b"ghr_" in window
        or b"github_pat_" in window
        or b"AKIA" in window
        or b"ASIA" in window
        or b"AIza" in window
        or b"xox" in window
        or b"hf_" in window
        or b"gsk_" in window
        or b"glpat-" in window
        or b"npm_" in window
        or b"ya29." in window
        or b"xai-" in window
        or b"PRIVATE KEY-----" in window
    )


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


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


TextRedactor = Callable[[str], str]
