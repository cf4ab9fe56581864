"""OpenAI's audio and image APIs: `POST .../audio/{transcriptions,translations,speech}` and
`POST .../images/{generations,edits,variations}`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: OpenAI's API
reference, "Audio" and "Images"; Groq, Mistral (whose stream of a transcription has its own event
names), Azure, Together and xAI serve the same paths. Of pictures and sound only type and size are
kept. A duration that is billed in place of tokens stays in the output's `usage`.
"""

from __future__ import annotations

import re

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder
from collector.llm.endpoint import PostedTo
from collector.llm.fields import mapping, objects, text, word
from collector.llm.media_request import media_request
from collector.llm.model import Json, JsonObject, LlmRequest, ToolCall, Usage
from collector.llm.openai_usage import usage_of

_PLAIN_FORMATS = ("text", "srt", "vtt")
_DELTAS = {"transcript.text.delta": "delta", "transcription.text.delta": "text"}
_DONE = ("transcript.text.done", "transcription.done")
_DESCRIBED = ("output_format", "size", "quality", "background")


class _MediaApi(PostedTo):
    """What the APIs share: the path names each, and the prompt and files make its message."""

    operation = "generate_content"
    native_provider = "openai"

    def __init__(self, name: str, path: str, prompt: str, files: tuple[str, ...] = ()) -> None:
        self.name = name
        self.path = re.compile(rf"(?:^|/){path}$")
        self._prompt = prompt
        self._files = files

    def has_shape(self, body: JsonObject) -> bool:
        """Never: their bodies are forms, or too much like others'."""
        return False

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is neither a form nor a JSON object."""
        return media_request(head, body, prompt=self._prompt, files=self._files)


class OpenAiTranscription(_MediaApi):
    """The `Api` of speech to text, in the language spoken or in English."""

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> TranscriptionResponse:
        """A decoder for the response that begins with `head`."""
        return TranscriptionResponse(head, request)


class OpenAiSpeech(_MediaApi):
    """The `Api` of text to speech."""

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> SpeechResponse:
        """A decoder for the response that begins with `head`."""
        return SpeechResponse(head)


class OpenAiImages(_MediaApi):
    """The `Api` of pictures that are made, changed or varied."""

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> ImagesResponse:
        """A decoder for the response that begins with `head`."""
        return ImagesResponse(head)


TRANSCRIPTIONS = OpenAiTranscription(
    "openai.transcriptions", "audio/transcriptions", "prompt", ("file_url", "file_id", "url")
)
TRANSLATIONS = OpenAiTranscription("openai.translations", "audio/translations", "prompt", ("url",))
SPEECH = OpenAiSpeech("openai.speech", "audio/speech", "input")
IMAGE_GENERATIONS = OpenAiImages("openai.image_generations", "images/generations", "prompt")
IMAGE_EDITS = OpenAiImages(
    "openai.image_edits", "images/edits", "prompt", ("image", "images", "mask")
)
IMAGE_VARIATIONS = OpenAiImages("openai.image_variations", "images/variations", "prompt")
OPENAI_MEDIA = (
    *(TRANSCRIPTIONS, TRANSLATIONS, SPEECH),
    *(IMAGE_GENERATIONS, IMAGE_EDITS, IMAGE_VARIATIONS),
)


class _MediaResponse(BodyDecoder):
    """One response, whose `usage` comes at its end."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._counts: Usage | None = None
        self._billed: JsonObject = {}  # a usage that counts seconds

    def _take_usage(self, body: JsonObject) -> None:
        usage = mapping(body, "usage")
        self._counts = usage_of(usage) or self._counts
        if "seconds" in usage or "prompt_audio_seconds" in usage:
            self._billed = {"usage": usage}

    def _take_failure(self, body: JsonObject) -> bool:
        """Note the error that a body or event is, if it is one."""
        if not body.get("error") and body.get("type") != "error":
            return False
        self._fail(body)
        return True

    def _usage(self) -> Usage | None:
        return self._counts

    def _content(self) -> list[Json]:
        raise NotImplementedError

    def _output(self) -> tuple[Json, ...]:
        content = self._content()
        if not content:
            return ()
        return ({"role": "assistant", "content": content, **self._billed},)

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        return ()


class TranscriptionResponse(_MediaResponse):
    """Accumulates one transcript: JSON, a stream of its parts, or plain text."""

    def __init__(self, head: ResponseHead, request: LlmRequest) -> None:
        super().__init__(head)
        self._pieces: list[str] = []
        self._whole: str | None = None
        plain = request.params.get("response_format") in _PLAIN_FORMATS
        self._plain = plain and self._status < 400 and not self._media_type.endswith("json")
        self._sniffed = self._plain

    def _take_event(self, event: JsonObject) -> None:
        kind = text(event, "type") or self._event_name
        if kind in _DELTAS:
            delta = text(event, _DELTAS[kind])
            if delta:
                self._chunk_ns.append(self._now_ns)
                if self._has_room(self._event_bytes):
                    self._pieces.append(delta)
        elif kind in _DONE:
            self._take_json(event)
        else:
            self._take_failure(event)

    def _take_json(self, body: JsonObject) -> None:
        if self._take_failure(body):
            return
        self._response_id = word(mapping(body, "x_groq"), "id")
        self._model = word(body, "model")
        self._whole = text(body, "text")
        self._take_usage(body)
        self._ended = self._whole is not None

    def _read_json(self, raw: bytes) -> None:
        if self._plain:
            self._whole = raw.decode("utf-8", "replace")
            self._ended = True
        else:
            super()._read_json(raw)

    def _content(self) -> list[Json]:
        said = "".join(self._pieces) if self._whole is None else self._whole
        return [{"type": "text", "text": said}] if said else []


class SpeechResponse(_MediaResponse):
    """Counts one recording: the body itself, or base64 in a stream of events."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        streamed = self._media_type == "text/event-stream"
        self._raw = self._status < 400 and not streamed and not self._media_type.endswith("json")
        self._sound_bytes = 0

    def feed(self, data: bytes, ktime_ns: int) -> None:
        """Take decoded body bytes that arrived at `ktime_ns`; sound is counted only."""
        if self._raw:
            self._sound_bytes += len(data)
        else:
            super().feed(data, ktime_ns)

    def _take_event(self, event: JsonObject) -> None:
        kind = text(event, "type") or self._event_name
        if kind == "speech.audio.delta":
            self._chunk_ns.append(self._now_ns)
            self._sound_bytes += _decoded_bytes(event.get("audio"))
        elif kind == "speech.audio.done":
            self._take_usage(event)
            self._ended = True
        else:
            self._take_failure(event)

    def _take_json(self, body: JsonObject) -> None:
        self._take_failure(body)

    def _read_json(self, raw: bytes) -> None:
        if self._raw:
            self._ended = True
        else:
            super()._read_json(raw)

    def _content(self) -> list[Json]:
        if not self._sound_bytes:
            return []
        sound: JsonObject = {"type": "audio", "size_bytes": self._sound_bytes}
        if self._raw and self._media_type:
            sound["media_type"] = self._media_type
        return [sound]


class ImagesResponse(_MediaResponse):
    """Describes the pictures of one response."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._pictures: list[Json] = []

    def _take_event(self, event: JsonObject) -> None:
        kind = text(event, "type") or self._event_name
        if kind.endswith(".partial_image"):
            self._chunk_ns.append(self._now_ns)
        elif kind in ("image_generation.completed", "image_edit.completed"):
            self._chunk_ns.append(self._now_ns)
            self._keep(event, event)
            self._take_usage(event)
            self._ended = True
        else:
            self._take_failure(event)

    def _take_json(self, body: JsonObject) -> None:
        if self._take_failure(body):
            return
        self._model = word(body, "model")
        for picture in objects(body, "data"):
            self._keep(picture, body)
        self._take_usage(body)
        self._ended = type(body.get("data")) is list

    def _keep(self, picture: JsonObject, about: JsonObject) -> None:
        """Keep what is said of a picture, and its size in place of its bytes."""
        kept: JsonObject = {"type": "image"}
        encoded = picture.get("b64_json")
        if type(encoded) is str:
            kept["size_bytes"] = _decoded_bytes(encoded)
        url, revised = text(picture, "url"), text(picture, "revised_prompt")
        if url is not None:
            if url.startswith("data:"):
                kept["size_bytes"] = _decoded_bytes(url.partition(",")[2])
            else:
                kept["url"] = url
        if revised is not None:
            kept["revised_prompt"] = revised
        kept |= {name: value for name in _DESCRIBED if (value := word(about, name)) is not None}
        if self._has_room(sum(len(value) for value in kept.values() if type(value) is str)):
            self._pictures.append(kept)

    def _content(self) -> list[Json]:
        return list(self._pictures)


def _decoded_bytes(encoded: Json) -> int:
    """How many bytes a base64 text encodes."""
    if type(encoded) is not str:
        return 0
    return len(encoded.rstrip("=")) * 3 // 4
