"""How secrets look, and where they stand in bytes.

In: bytes of heads, header values, bodies and arguments. Out: spans of secrets in them, to
`collector.redaction`. No state, no masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Span = tuple[int, int]

_HEADER_NAMES = (
    rb"authorization|proxy-authorization|x-api-key|api-key|x-goog-api-key|x-goog-iam-authorization-token"
    rb"|cookie|set-cookie|x-auth-token|x-amz-security-token|x-access-token|x-github-token"
    rb"|openai-api-key|anthropic-api-key|x-csrf-token|mcp-session-token"
)
_SCHEME = rb"(?:(?:bearer|basic|token|apikey)[ \t]+)?"
HEADER = re.compile(rb"(?im)^(?:" + _HEADER_NAMES + rb")[ \t]*:[ \t]*" + _SCHEME + rb"(\S[^\r\n]*)")
_NAMES = frozenset(_HEADER_NAMES.split(b"|"))
_CREDENTIAL_NAME = re.compile(rb"token|key|auth|secret|credential|cookie|session")
_VALUE = re.compile(rb"(?is)[ \t]*" + _SCHEME + rb"(\S.*)")
# Signatures of AWS (Signature Version 4): a key's name, and what is different in each request.
_SIGNED = b"AWS4-HMAC-SHA256"
_IN_SIGNED = re.compile(rb"(?:Credential|Signature)=([^/,\s]+)")
QUERY = re.compile(
    rb"(?i)[?&](?:key|api_?key|access_token|auth_token|token|signature|sig|password)="
    rb"([^&\s#\"'\\<>]+)"
)
# A request or status line of which the rest, or even the version, has not come yet.
CUT_START_LINE = re.compile(rb"(?:[A-Z]{1,16}(?: [^\s\"]*(?: H?T?T?P?/?1?)?)?|HTTP?/?1?)\Z")

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
FLAG = re.compile(rb"(?i)^--?" + _CREDENTIAL + rb"$")
ARGUMENT = re.compile(
    rb"(?is)^(?:--?|export )?" + _CREDENTIAL + rb"[=:][ \t]*" + _SCHEME + rb"(.+)\Z"
)
SCRIPT_FLAG = re.compile(rb"-[a-z]*c")  # what follows is a shell's or interpreter's script
IN_SCRIPT = re.compile(
    rb"(?i)(?<![\w-])(?:" + _CREDENTIAL + rb"(?:=|:[ \t]*)|--" + _CREDENTIAL + rb"[ \t]+)"
    rb"(?:\"([^\"]+)\"|'([^']+)'|" + _SCHEME + rb"([^\s;&|\"'`()]+))"
)
TAIL_BYTES = 256


def in_head(window: bytes) -> list[Span]:
    """Values of credential headers and query parameters in lines of an HTTP/1 head."""
    spans: list[Span] = []
    for match in HEADER.finditer(window):
        start, end = match.span(1)
        spans += _signed(window, start, end) or [(start, end)]
    return spans + [match.span(1) for match in QUERY.finditer(window)]


def _signed(window: bytes, start: int, end: int) -> list[Span]:
    """Of a signature its parts: the key's name stays countable. None when it is none."""
    if not window.startswith(_SIGNED, start, end):
        return []
    return [match.span(1) for match in _IN_SIGNED.finditer(window, start, end)]


def in_header(name: bytes | None, value: bytes, *, cut: bool = False) -> list[Span]:
    """Secret parts of one header's value, in order and apart.

    `name` is in lower case; a value whose name is not known (None) is secret. `cut`: more of the
    value follows; a secret that goes on is told up to the end, and may be empty.
    """
    if name is None:
        return [(0, len(value))]
    if name in _NAMES:
        match = _VALUE.match(value)
        if match is None:
            return [(len(value), len(value))]
        return _signed(value, *match.span(1)) or [match.span(1)]
    spans = [match.span(1) for match in QUERY.finditer(value)]
    if may_hold_key(value):
        spans += in_body(value)[0] if cut else keys(value)
    return merged(spans)


def is_credential_header(name: bytes) -> bool:
    """May a header of this name, in lower case, carry a credential?"""
    return name in _NAMES or _CREDENTIAL_NAME.search(name) is not None


def keys(window: bytes) -> list[Span]:
    """Known key shapes."""
    return [match.span(match.lastindex or 0) for match in _KEYS.finditer(window)]


def in_body(window: bytes) -> tuple[list[Span], int]:
    """Known key shapes, also such as the end cuts, and from where on the end must be kept to
    tell what goes on."""
    end = len(window)
    open_at = max(0, end - TAIL_BYTES)
    spans: list[Span] = []
    if may_hold_key(window):
        for match in _KEYS.finditer(window):
            spans.append(match.span(match.lastindex or 0))
            if match.end() == end:
                open_at = min(open_at, match.start())
        run_at = len(window.rstrip(_KEY_BYTES))
        cut = run_at < end and _CUT_KEY.search(window, max(0, run_at - 16))
        if cut:
            spans.append(cut.span(cut.lastindex or 0))
            open_at = min(open_at, cut.start())
    return spans, open_at


def may_hold_key(window: bytes) -> bool:
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


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same bytes in spans that are in order and apart."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged
