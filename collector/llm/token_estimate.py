"""Tokens estimated from text, for calls whose provider reported none.

In: a parsed request and its response. Out: a `Usage` with what could be estimated, and which part
of it is estimated. Reported numbers are never replaced, and failed calls are left alone.

The estimate counts the pieces that a tokenizer's pre-tokenisation makes - words, long words,
capitals, digits, signs, line ends, characters of other scripts - and weighs each kind. The weights
are fitted to the vocabulary `o200k_base` over English, German, French, Spanish, Russian, Chinese
and Japanese text, source code, JSON and logs. Kinds are counted on bytes, without a loop over
pieces; a long text is sampled, so that no text takes more than a fraction of a millisecond.
docs/tables.md, "Estimates", says how far off it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from collector.llm.fields import dump
from collector.llm.model import Json, LlmRequest, LlmResponse, Usage

REPORTED = "reported"
ESTIMATED = "estimated"
OUTPUT_ESTIMATED = "output_estimated"
SAMPLED_BYTES = 16 << 10
_SAMPLES = 8
_MAX_DEPTH = 16
# The frame of a chat message in OpenAI's format: role and separators.
MESSAGE_TOKENS = 4

# One sign for each kind of byte: small letter, capital, digit, blank, line end, other sign, and
# by its first byte a character of Latin, of other two-byte scripts, of three and of four bytes.
_CONTINUATION = bytes(range(0x80, 0xC0))


def _kind(byte: int) -> str:
    char = chr(byte)
    if byte < 0x80:
        if char.isalpha():
            return "a" if char.islower() else "A"
        if char.isspace():
            return " " if char == " " else "\n"
        return "0" if char.isdigit() else "."
    return "l" if byte < 0xC6 else "r" if byte < 0xE0 else "z" if byte < 0xF0 else "e"


_KINDS = "".join(map(_kind, range(256))).encode()
_WEIGHTS = (
    (b"a ", 0.62),  # a word ends
    (b"a.", 0.84),
    (b"a\n", 0.99),
    (b"aA", 0.70),
    (b"aaaa", 0.61),  # four more letters of a word
    (b"A", 0.37),
    (b"0", 1.04),
    (b".", 0.07),
    (b" .", 0.89),
    (b".a", 0.42),
    (b"\n", 0.64),
    (b"  ", 0.13),
    (b"l", 1.40),
    (b"r", 0.30),
    (b"z", 0.70),
    (b"e", 2.00),
)
# Encoded data and labels of the format are no text that a model reads.
_SKIPPED = frozenset(
    {
        "type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "status", "signature",
        "encrypted_content", "thoughtSignature", "cache_control", "image_url", "file_data",
        "media_type", "mime_type", "mimeType", "finish_reason", "index", "logprobs",
    }
)  # fmt: skip
_AS_JSON = frozenset({"input", "args", "arguments", "parameters", "input_schema", "schema"})
_ENCODED = frozenset({"media_type", "mime_type", "mimeType", "format"})


def text_tokens(text: str) -> int:
    """About how many tokens `text` is; 0 only when it is empty."""
    size = len(text)
    if not size:
        return 0
    scale = 1.0
    if size > SAMPLED_BYTES:
        step, length = size // _SAMPLES, SAMPLED_BYTES // _SAMPLES
        text = "\n".join(text[at : at + length] for at in range(0, step * _SAMPLES, step))
        scale = size / (length * _SAMPLES)
    kinds = text.encode("utf-8", "replace").translate(_KINDS, _CONTINUATION)
    count = sum(kinds.count(kind) * weight for kind, weight in _WEIGHTS)
    return max(1, round(count * scale))


def input_tokens(request: LlmRequest) -> int | None:
    """About how many tokens a request is: its system prompt, messages and tools.

    None when the text is not all there: the provider keeps the rest of the conversation.
    """
    if "previous_response_id" in request.params or "conversation" in request.params:
        return None
    parts = [*request.system, *request.messages]
    if not parts and not request.tools:
        return None
    text = "\n".join((*_texts(parts), *map(dump, request.tools)))
    return text_tokens(text) + MESSAGE_TOKENS * len(parts)


def output_tokens(response: LlmResponse) -> int | None:
    """About how many tokens a response is; None when it holds no text."""
    return text_tokens("\n".join(_texts(response.output))) or None


def completed(request: LlmRequest, response: LlmResponse) -> tuple[Usage | None, str | None]:
    """The usage with estimates where the provider reported nothing, and its source.

    Source: `reported`, `estimated`, `output_estimated` (the input is reported, or not known
    either); None without usage. A call that generated nothing, or failed, is not estimated.
    """
    usage = response.usage
    source = None if usage is None else REPORTED
    if response.error is not None or (usage is not None and usage.output_tokens is not None):
        return usage, source
    made = output_tokens(response)
    if made is None:
        return usage, source
    if usage is not None:
        if usage.input_tokens is None:
            return usage, source
        known = {name: getattr(usage, name) for name in Usage.__slots__}
        return Usage(**{**known, "output_tokens": made}), OUTPUT_ESTIMATED
    sent = input_tokens(request)
    return Usage(sent, made), OUTPUT_ESTIMATED if sent is None else ESTIMATED


def _texts(values: Iterable[Json]) -> list[str]:
    found: list[str] = []
    for value in values:
        _collect(value, found, _MAX_DEPTH)
    return found


def _collect(value: Json, found: list[str], depth: int) -> None:
    """Add the text that `value` holds, at whatever place of a provider's message."""
    if type(value) is str:
        if not value.startswith("data:"):
            found.append(value)
    elif depth and type(value) is list:
        for item in value:
            _collect(item, found, depth - 1)
    elif depth and type(value) is dict:
        encoded = not _ENCODED.isdisjoint(value)
        for key, item in value.items():
            if key in _SKIPPED or (encoded and key == "data"):
                continue
            if key in _AS_JSON and type(item) in (dict, list):
                found.append(dump(item))
            else:
                _collect(item, found, depth - 1)
