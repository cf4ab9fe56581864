"""Secrets are masked here, before anything else sees a byte.

In: frames from the probe. Out: the same frames, with credentials overwritten in place: every
length and position stays, so recordings and live capture decode alike. A mask carries a salted
fingerprint where it fits (`[redacted:1a2b3c4d]`), which keeps "which key was used" countable.

Masked: the values of credential headers and query parameters; known key shapes in bodies and in
argv; values after credential-like flags and assignments in argv. A header or key that is cut over
two reads is masked in both parts. `redact_text` does the same for text that only decoding joins,
such as a key that a model streamed in pieces.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from probes import frames

_HEADER_NAMES = (
    rb"authorization|proxy-authorization|x-api-key|api-key|x-goog-api-key|x-goog-iam-authorization-token"
    rb"|cookie|set-cookie|x-auth-token|x-amz-security-token|x-access-token|x-github-token"
    rb"|openai-api-key|anthropic-api-key|x-csrf-token|mcp-session-token"
)
_HEADER = re.compile(
    rb"(?im)^(?:"
    + _HEADER_NAMES
    + rb")[ \t]*:[ \t]*(?:(?:bearer|basic|token|apikey)[ \t]+)?([^\r\n]+)"
)
_QUERY = re.compile(
    rb"(?i)[?&](?:key|api_?key|access_token|auth_token|token|signature|sig|password)=([^&\s#]+)"
)
_SHAPE = (
    rb"(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}"
    rb"|AIza[\w-]{30,}|xox[abeprs]-[\w-]{10,}|hf_[A-Za-z0-9]{20,}|gsk_[A-Za-z0-9]{20,}"
    rb"|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{30,}|ya29\.[\w-]{20,}|xai-[A-Za-z0-9]{20,}"
    rb"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})"
)
_KEYS = re.compile(
    rb"(?<![A-Za-z0-9])(" + _SHAPE + rb")"
    rb"|(?i:bearer)[ \t]+(?!\[redacted)([A-Za-z0-9._~+/-]{16,}=*)"
    rb"|-----BEGIN [A-Z ]*PRIVATE KEY-----((?:(?!-----END)[\s\S])+)"
)
_CUT_KEY = re.compile(
    rb"(?:sk-|gh[pousr]_|github_pat_|AKIA|ASIA|AIza|xox[abeprs]-|hf_|gsk_|glpat-|npm_|ya29\.|xai-|eyJ"
    rb"|[Bb]earer )([\w.~+/-]*)\Z"
)
_ARGUMENT = re.compile(
    rb"(?i)^(?:--?|export )?[\w-]*"
    rb"(?:api[_-]?key|token|secret|passw(?:or)?d|authorization|credential)[\w-]*[=:][ \t]*(.+)$"
)
_FLAG = re.compile(rb"(?i)^--?[\w-]*(?:api[_-]?key|token|secret|passw(?:or)?d|credential)[\w-]*$")
_TAIL_BYTES = 256
_HEAD_LIMIT_BYTES = 256 << 10
_CHUNK_BYTES = 16384  # what the kernel cuts a long call into; see tls.bpf.c


class _Stream:
    """What one direction of a connection left open at the end of its last read."""

    __slots__ = ("head_bytes", "tail")

    def __init__(self) -> None:
        self.tail = b""  # unfinished header line, or the end of a long body read
        self.head_bytes = 0  # of the head that is being read; 0: not in one


class Redactor:
    """Masks secrets in frames and text. Fingerprints depend on `salt` alone."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._streams: dict[bytes, _Stream] = {}
        self.masked = 0

    def fingerprint(self, secret: bytes) -> str:
        """Eight hex digits that tell keys apart and do not give them away."""
        return hmac.new(self._salt, secret, hashlib.blake2b).hexdigest()[:8]

    def _mask(self, secret: bytes) -> bytes:
        self.masked += 1
        if len(secret) < 19:
            return b"*" * len(secret)
        mark = b"[redacted:%s]" % self.fingerprint(secret).encode()
        return mark + b"*" * (len(secret) - len(mark))

    # Frames

    def frame(self, frame: bytes) -> bytes:
        """The frame itself when it holds no secret, else a masked copy of equal length."""
        kind = frame[4]
        if kind == frames.TLS_DATA:
            return self._tls_data(frame)
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

    def _tls_data(self, frame: bytes) -> bytes:
        # start_ns, SSL*, epoch; tgid; direction
        identity = frame[16:40] + frame[48:52] + frame[60:61]
        stream = self._streams.get(identity)
        if stream is None:
            stream = self._streams[identity] = _Stream()
        data = frame[frames.TLS_DATA_OFFSET :]
        masked = self._stream_data(stream, data)
        return frame if masked is data else frame[: frames.TLS_DATA_OFFSET] + masked

    def _stream_data(self, stream: _Stream, data: bytes) -> bytes:
        held = stream.tail
        window = held + data if held else data
        spans: list[tuple[int, int]] = []
        if stream.head_bytes or b"HTTP/1." in window:
            spans += self._head_spans(stream, window, len(data))
        elif held or len(data) >= _CHUNK_BYTES:
            stream.tail = data[-_TAIL_BYTES:] if len(data) >= _CHUNK_BYTES else b""
        if _may_hold_key(window):
            spans += _key_spans(window)
            if len(data) >= _CHUNK_BYTES:
                cut = _CUT_KEY.search(window, max(0, len(window) - _TAIL_BYTES))
                if cut:
                    spans.append(cut.span(1))
        if not spans:
            return data
        return self._overwrite(window, spans)[len(held) :]

    def _head_spans(self, stream: _Stream, window: bytes, size: int) -> list[tuple[int, int]]:
        spans = [match.span(1) for match in _HEADER.finditer(window)]
        spans += [match.span(1) for match in _QUERY.finditer(window)]
        end = max(window.rfind(b"\r\n\r\n"), window.rfind(b"\n\n"))
        start = window.rfind(b"HTTP/1.")
        if end > start >= 0 or (end >= 0 and start < 0):
            stream.head_bytes, stream.tail = 0, b""
            if size >= _CHUNK_BYTES:
                stream.tail = window[-_TAIL_BYTES:]
        else:
            stream.head_bytes += size
            if stream.head_bytes > _HEAD_LIMIT_BYTES:
                stream.head_bytes = 0
            stream.tail = window[window.rfind(b"\n") + 1 :][-8192:]
        return spans

    def _overwrite(self, window: bytes, spans: list[tuple[int, int]]) -> bytes:
        result, at = [], 0
        for start, end in sorted(spans):
            if end <= at:
                continue
            start = max(start, at)
            secret = window[start:end]
            if secret.startswith(b"[redacted:"):
                continue
            result += [window[at:start], self._mask(secret)]
            at = end
        result.append(window[at:])
        return b"".join(result)

    # Processes

    def _argv(self, raw: bytes) -> bytes:
        parts = raw.split(b"\0")
        masked, hide_next = [], False
        for part in parts:
            if hide_next and part:
                masked.append(self._mask(part))
                hide_next = False
                continue
            hide_next = bool(_FLAG.match(part))
            match = _ARGUMENT.match(part)
            spans = [match.span(1)] if match else []
            spans += [found.span(1) for found in _HEADER.finditer(part)]
            spans += [found.span(1) for found in _QUERY.finditer(part)]
            spans += _key_spans(part)
            masked.append(self._overwrite(part, spans) if spans else part)
        return b"\0".join(masked)

    def _process_seen(self, frame: bytes) -> bytes:
        payload = frames.control_payload(frame)
        raw = "\0".join(payload["argv"]).encode()
        masked = self._argv(raw)
        if masked == raw:
            return frame
        payload["argv"] = masked.decode("utf-8", "replace").split("\0")
        event = frames.decode(frame)
        return frames.json_frame(frames.PROCESS_SEEN, event.ktime_ns, payload)

    # Text

    def redact_text(self, text: str) -> str:
        """The text with key shapes masked; the text itself when there are none."""
        raw = text.encode("utf-8", "surrogatepass")
        spans = _key_spans(raw) if _may_hold_key(raw) else None
        if not spans:
            return text
        return self._overwrite(raw, spans).decode("utf-8", "surrogatepass")


def _may_hold_key(window: bytes) -> bool:
    """A plain search for what keys begin with: written out, it is ten times a loop's speed."""
    return (
        b"sk-" in window
        or b"eyJ" in window
        or b"earer " in window
        or b"EARER " in window
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


def _key_spans(window: bytes) -> list[tuple[int, int]]:
    return [match.span(match.lastindex or 0) for match in _KEYS.finditer(window)]


TextRedactor = Callable[[str], str]
