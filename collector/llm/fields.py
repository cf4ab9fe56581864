"""Reading fields of JSON that a stranger wrote: the wrong type reads as absent.

In: parsed JSON. Out: typed values, or None for "not known". Used by the API modules beside it.
"""

from __future__ import annotations

import orjson

from collector.llm.model import Json, JsonObject, LlmError
from collector.llm.rate_limits import retry_delay_s

_LARGEST_COUNT = 2**53  # larger numbers are no token counts
_MESSAGE_CHARS = 4_000
_TYPE_CHARS = 200
_WORD_CHARS = 1_000


def parse_object(body: bytes) -> JsonObject | None:
    """The JSON object in `body`, or None when it holds anything else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if type(value) is dict else None


def dump(value: Json) -> str:
    """Compact JSON text of a parsed value; empty when nested deeper than can be written."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return ""


def text(obj: JsonObject, key: str) -> str | None:
    """A string field."""
    value = obj.get(key)
    return value if type(value) is str else None


def word(obj: JsonObject, key: str) -> str | None:
    """A string field that says nothing when empty or of absurd length (ids, names, types)."""
    value = obj.get(key)
    return value if type(value) is str and 0 < len(value) <= _WORD_CHARS else None


def mapping(obj: JsonObject, key: str) -> JsonObject:
    """An object field; empty when absent."""
    value = obj.get(key)
    return value if type(value) is dict else {}


def objects(obj: JsonObject, key: str) -> list[JsonObject]:
    """The objects in a list field; empty when absent."""
    value = obj.get(key)
    return [item for item in value if type(item) is dict] if type(value) is list else []


def count(obj: JsonObject, key: str) -> int | None:
    """A token count: a whole number, zero or more."""
    value = obj.get(key)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST_COUNT else None


def amount(obj: JsonObject, key: str) -> float | None:
    """An amount of money, zero or more."""
    value = obj.get(key)
    if type(value) is not int and type(value) is not float:
        return None
    return float(value) if 0 <= value < _LARGEST_COUNT else None


def text_parts(content: Json) -> str:
    """Text of a message's content: the string itself, or its text blocks joined by newlines."""
    if type(content) is str:
        return content
    if type(content) is not list:
        return ""
    parts = [
        block if type(block) is str else block.get("text")
        for block in content
        if type(block) in (str, dict)
    ]
    return "\n".join(part for part in parts if type(part) is str)


def error_of(payload: Json, fallback: str) -> LlmError:
    """The error in an error body or event of any provider; `fallback` is its type when unnamed.

    Shapes: `{"error": {type, code, message}}`, `{"error": "text"}`, the same fields at the top
    level, `{"detail": ..}`, or a list holding one of these, also as `{"errors": [..]}`. A worded
    `code` is more specific than `type` (OpenAI: type `tokens`, code `rate_limit_exceeded`); a
    numeric one repeats the HTTP status, which Google's `status` has in words
    (`RESOURCE_EXHAUSTED`).
    """
    if type(payload) is dict and not payload.get("error") and objects(payload, "errors"):
        payload = objects(payload, "errors")
    if type(payload) is list and payload:
        payload = payload[0]
    if type(payload) is not dict:
        return LlmError(fallback, _clipped(payload))
    detail = payload.get("error")
    source = detail if type(detail) is dict else payload
    code, kind = word(source, "code"), word(source, "type")
    if kind == "error":
        kind = None
    if code is not None and not code.isdigit():
        kind = code
    elif kind is None:
        number = source.get("code")
        if type(number) is int:
            kind = word(source, "status") or str(number)
        else:
            kind = code or fallback
    message = next(
        (
            value
            for value in (
                source.get("message"),
                detail,
                payload.get("message"),
                payload.get("detail"),
            )
            if value and type(value) is not dict
        ),
        payload,
    )
    return LlmError(kind[:_TYPE_CHARS], _clipped(message), retry_delay_s(source))


def _clipped(message: Json) -> str:
    return (message if type(message) is str else dump(message))[:_MESSAGE_CHARS]
