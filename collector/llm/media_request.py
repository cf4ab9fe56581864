"""Requests that carry files: a `multipart/form-data` or JSON body as one message and parameters.

In: the body of a request for audio or images. Out: an `LlmRequest` whose one message holds the
prompt and, of each file, what it is called, its type and its size: its content is not kept.
"""

from __future__ import annotations

from collector.http.events import RequestHead, header
from collector.http.multipart import Part, boundary_of, read_form
from collector.llm.fields import parse_object, word
from collector.llm.model import Json, JsonObject, LlmRequest

# A form's values are texts; these are numbers where the same API takes JSON.
_INTEGERS = ("n", "partial_images", "output_compression", "seed")
_NUMBERS = ("temperature", "speed")
_WORDS = {"true": True, "false": False}


def media_request(
    head: RequestHead, body: bytes, *, prompt: str, files: tuple[str, ...] = ()
) -> LlmRequest | None:
    """The request, or None when the body is neither a form nor a JSON object.

    The field `prompt` and the fields `files` make the message; every other one is a parameter.
    """
    content_type = header(head.headers, "content-type")
    blocks: list[Json] = []
    if boundary_of(content_type) is None:
        fields = parse_object(body)
    else:
        parts = read_form(content_type, body)
        fields = None if parts is None else _fields_of(parts)
        blocks = [_file_of(part) for part in parts or () if part.file_name is not None]
    if fields is None:
        return None
    for name in files:
        value = fields.pop(name, None)
        for one in value if type(value) is list else (value,):
            if one is not None:
                blocks.append({"type": "file", "field": name, "source": one})
    said = fields.pop(prompt, None)
    if said is not None:
        blocks.append({"type": "text", "text": said})
    streams = fields.pop("stream", None) is True or fields.get("stream_format") == "sse"
    return LlmRequest(
        request_model=word(fields, "model"),
        stream=streams,
        messages=({"role": "user", "content": blocks},) if blocks else (),
        params={name: value for name, value in fields.items() if name != "model"},
    )


def _fields_of(parts: list[Part]) -> JsonObject:
    """The fields of a form; one that repeats, or is called `name[]`, is a list."""
    fields: JsonObject = {}
    for part in parts:
        if part.file_name is not None or part.text is None:
            continue
        name = part.name.removesuffix("[]")
        value = _value_of(name, part.text)
        if name in fields or name != part.name:
            known = fields.get(name, [])
            fields[name] = [*known, value] if type(known) is list else [known, value]
        else:
            fields[name] = value
    return fields


def _value_of(name: str, value: str) -> Json:
    try:
        if name in _INTEGERS:
            return int(value[:20])
        if name in _NUMBERS:
            return float(value)
    except ValueError:
        return value
    return _WORDS.get(value, value)


def _file_of(part: Part) -> JsonObject:
    return {
        "type": "file",
        "field": part.name.removesuffix("[]"),
        "filename": part.file_name,
        "media_type": part.content_type,
        "size_bytes": part.size_bytes,
    }
