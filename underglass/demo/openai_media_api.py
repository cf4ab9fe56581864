"""OpenAI's transcriptions and image edits, server side: forms in, JSON or event streams out.

In: the fields of a form, and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of
https://platform.openai.com/docs/api-reference/audio/createTranscription and
.../images/createEdit. The turn's text is the transcript; its bytes stand for the picture.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.openai_chat_api import error_body, error_type, rate_limit_headers
from underglass.demo.reply import CREATED, ApiRequest, Event, Reply, sse
from underglass.demo.script import ErrorStep, RateLimits, TurnUsage


def form_of(content_type: str, body: bytes) -> JsonObject:
    """The fields of a `multipart/form-data` body; a file is its size in bytes.

    Raises ValueError when the body is no form.
    """
    head = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise ValueError("not a form")
    fields: JsonObject = {}
    for part in message.get_payload():
        if not isinstance(part, Message):
            continue
        name = str(part.get_param("name", header="content-disposition"))
        value = part.get_payload(decode=True)
        content = value if isinstance(value, bytes) else b""
        is_file = part.get_filename() is not None
        fields[name] = len(content) if is_file else content.decode()
    return fields


class _Media:
    """What both have in common."""

    response_id_prefix = None
    request_id_header = "x-request-id"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read the fields of a form."""
        return ApiRequest(
            model=body["model"],
            stream=body.get("stream") == "true",
            turn_number=0,
            last_user_text=body.get("prompt") or "",
            tools=(),
            tool_result_ids=(),
        )

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return error_body(error, error_type(error))

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """An `error` event, which breaks a stream off."""
        detail = {"type": error_type(error), "message": error.message}
        return Event(sse({"type": "error", "error": detail}, "error"))

    def error_type(self, error: ErrorStep) -> str:
        """The provider's word for the error."""
        return error_type(error)

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """Rate limits under the provider's header names."""
        return rate_limit_headers(limits)


class OpenAiTranscription(_Media):
    """POST /v1/audio/transcriptions."""

    name = "openai.transcriptions"

    def body(self, reply: Reply) -> Event:
        """The transcript as one JSON body."""
        said = "".join(reply.turn.text)
        wire, usage = _usage(reply.turn.usage, "input_token_details", "audio_tokens")
        body = {"text": said, "usage": {"type": "tokens", **wire}}
        return Event(orjson.dumps(body), text=said, usage=usage)

    def stream(self, reply: Reply) -> list[Event]:
        """The transcript as server-sent events."""
        said = "".join(reply.turn.text)
        wire, usage = _usage(reply.turn.usage, "input_token_details", "audio_tokens")
        done = {"type": "transcript.text.done", "text": said}
        events = [
            Event(sse({"type": "transcript.text.delta", "delta": piece}), content=True, text=piece)
            for piece in reply.turn.text
        ]
        last = sse({**done, "usage": {"type": "tokens", **wire}})
        return [*events, Event(last, usage=usage)]


class OpenAiImageEdit(_Media):
    """POST /v1/images/edits."""

    name = "openai.image_edits"

    def body(self, reply: Reply) -> Event:
        """The picture in one JSON body."""
        wire, usage = _usage(reply.turn.usage, "input_tokens_details", "image_tokens")
        body = {
            "created": CREATED,
            "output_format": "png",
            "data": [{"b64_json": _picture(reply.turn.text)}],
            "usage": wire,
        }
        return Event(orjson.dumps(body), usage=usage)

    def stream(self, reply: Reply) -> list[Event]:
        """The picture as server-sent events: a partial one a piece of text, then the whole."""
        wire, usage = _usage(reply.turn.usage, "input_tokens_details", "image_tokens")
        about = {"created_at": CREATED, "output_format": "png", "size": "1024x1024"}
        events = []
        for index in range(len(reply.turn.text) - 1):
            payload = {
                "type": "image_edit.partial_image",
                "b64_json": _picture(reply.turn.text[: index + 1]),
                "partial_image_index": index,
                **about,
            }
            events.append(Event(sse(payload, "image_edit.partial_image"), content=True))
        payload = {
            "type": "image_edit.completed",
            "b64_json": _picture(reply.turn.text),
            "usage": wire,
            **about,
        }
        return [*events, Event(sse(payload, "image_edit.completed"), content=True, usage=usage)]


def _picture(pieces: tuple[str, ...]) -> str:
    return base64.b64encode("".join(pieces).encode()).decode()


def _usage(usage: TurnUsage, details: str, kind: str) -> tuple[JsonObject, Usage]:
    wire = {
        "input_tokens": usage.input_tokens,
        details: {"text_tokens": 0, kind: usage.input_tokens},
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    known = Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    if kind == "audio_tokens":
        return wire, replace(known, input_audio_tokens=usage.input_tokens)
    return wire, replace(known, input_image_tokens=usage.input_tokens)
