from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http.events import RequestHead
from collector.llm.model import LlmError, LlmRequest, LlmResponse, Usage
from tests.collector.llm.wire import (
    JSON,
    api,
    decode,
    decode_events,
    mutated,
    response,
    sse,
    transport,
)

TRANSCRIPTIONS = api("/v1/audio/transcriptions")
SPEECH = api("/v1/audio/speech")
GENERATIONS = api("/v1/images/generations")
EDITS = api("/v1/images/edits")
TOKENS = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    "output_tokens": 101,
    "total_tokens": 115,
}
PICTURE = b"\x89PNG" + bytes(range(250))
ENCODED = base64.b64encode(PICTURE).decode()


def said(response: LlmResponse) -> Any:
    [message] = response.output
    assert message["role"] == "assistant"
    return message["content"]


class Sent:
    """What the SDK's client really sends, and how it understands the answer."""

    def __init__(self, body: bytes, content_type: str = JSON) -> None:
        self._answer = transport(body, content_type)
        self.head = RequestHead(1, "POST", "", "HTTP/1.1", ())
        self.body = b""
        self.client = openai.OpenAI(
            api_key="k",
            base_url="http://localhost/v1",
            http_client=httpx2.Client(transport=httpx2.MockTransport(self._note)),
        )

    def _note(self, request: httpx2.Request) -> httpx2.Response:
        headers = tuple((name.lower(), value) for name, value in request.headers.items())
        target = request.url.raw_path.decode()
        self.head = RequestHead(1, request.method, target, "HTTP/1.1", headers)
        self.body = request.read()
        return self._answer.handle_request(request)

    def parsed(self) -> LlmRequest:
        found = api(self.head.target).parse_request(self.head, self.body)
        assert found is not None
        return found


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/v1/audio/transcriptions", "openai.transcriptions"),
        ("/openai/v1/audio/transcriptions", "openai.transcriptions"),
        ("/openai/deployments/whisper/audio/translations?api-version=1", "openai.translations"),
        ("/v1/audio/speech", "openai.speech"),
        ("/v1/images/generations", "openai.image_generations"),
        ("/v1/images/edits", "openai.image_edits"),
        ("/v1/images/variations", "openai.image_variations"),
    ],
)
def test_paths(target: str, name: str) -> None:
    found = api(target)
    assert (found.name, found.operation) == (name, "generate_content")


# Requests, as OpenAI's client writes them


def test_a_transcription_request() -> None:
    sent = Sent(json.dumps({"text": "hi"}).encode())
    sent.client.audio.transcriptions.create(
        file=('café "1".wav', b"RIFF" * 1000, "audio/wav"),
        model="gpt-4o-transcribe",
        prompt="Names: Zoë",
        language="en",
        temperature=0.2,
        include=["logprobs"],
        timestamp_granularities=["word", "segment"],
    )
    request = sent.parsed()
    assert request.request_model == "gpt-4o-transcribe"
    assert not request.stream
    assert request.params == {
        "language": "en",
        "temperature": 0.2,
        "include": ["logprobs"],
        "timestamp_granularities": ["word", "segment"],
    }
    [message] = request.messages
    assert message == {
        "role": "user",
        "content": [
            {
                "type": "file",
                "field": "file",
                "filename": 'café "1".wav',
                "media_type": "audio/wav",
                "size_bytes": 4000,
            },
            {"type": "text", "text": "Names: Zoë"},
        ],
    }


def test_an_image_edit_request() -> None:
    sent = Sent(sse([]), "text/event-stream")
    stream = sent.client.images.edit(
        image=[("a.png", PICTURE, "image/png"), ("b.png", PICTURE * 2, "image/png")],
        mask=("m.png", b"", "image/png"),
        prompt="Make it blue\r\nplease",
        model="gpt-image-1",
        n=2,
        stream=True,
        partial_images=1,
    )
    assert list(stream) == []
    request = sent.parsed()
    assert request.stream
    assert request.params == {"n": 2, "partial_images": 1}
    [message] = request.messages
    *files, text = message["content"]
    assert text == {"type": "text", "text": "Make it blue\r\nplease"}
    assert [(file["field"], file["filename"], file["size_bytes"]) for file in files] == [
        ("image", "a.png", 254),
        ("image", "b.png", 508),
        ("mask", "m.png", 0),
    ]


def test_json_requests() -> None:
    sent = Sent(b"ID3", "audio/mpeg")
    sent.client.audio.speech.create(
        input="Hello", model="gpt-4o-mini-tts", voice="coral", speed=1.5, stream_format="sse"
    )
    request = sent.parsed()
    assert (request.request_model, request.stream) == ("gpt-4o-mini-tts", True)
    assert request.params == {"voice": "coral", "speed": 1.5, "stream_format": "sse"}
    assert request.messages == ({"role": "user", "content": [{"type": "text", "text": "Hello"}]},)
    sent = Sent(json.dumps({"created": 1, "data": []}).encode())
    sent.client.images.generate(prompt="A cat", model="gpt-image-1", size="1024x1024", n=1)
    request = sent.parsed()
    assert request.params == {"size": "1024x1024", "n": 1}
    assert request.messages == ({"role": "user", "content": [{"type": "text", "text": "A cat"}]},)


def test_bodies_of_another_shape() -> None:
    form = RequestHead(
        1,
        "POST",
        "/v1/audio/transcriptions",
        "HTTP/1.1",
        (("content-type", "multipart/form-data; boundary=b"),),
    )
    plain = RequestHead(1, "POST", "/v1/images/edits", "HTTP/1.1", ())
    for body in (b"", b"--b\r\n", b'{"model": "m"}', b"\xff" * 100):
        assert TRANSCRIPTIONS.parse_request(form, body) is None
    for body in (b"", b"[]", b"--b--", b"\xff"):
        assert EDITS.parse_request(plain, body) is None
    for value in ('"x"', "null", '[1, "x"]', '{"a": 1}', "7"):
        body = b'{"model": %s, "prompt": %s, "image": %s}' % ((value.encode(),) * 3)
        assert EDITS.parse_request(plain, body) is not None


# Transcripts


def test_a_transcript_as_json() -> None:
    body = json.dumps({"text": "Hello there.", "usage": TOKENS}).encode()
    found = decode(TRANSCRIPTIONS, body, head=response(JSON))
    assert said(found) == [{"type": "text", "text": "Hello there."}]
    assert found.usage == Usage(input_tokens=14, output_tokens=101, input_audio_tokens=14)
    assert found.complete
    assert found.first_token_ns is None
    theirs = Sent(body).client.audio.transcriptions.create(file=("a", b"x"), model="m")
    assert theirs.text == "Hello there."


def test_a_duration_is_billed_in_place_of_tokens() -> None:
    usage = {"type": "duration", "seconds": 9}
    body = {"text": "Hi.", "task": "transcribe", "duration": 8.5, "usage": usage}
    found = decode(TRANSCRIPTIONS, json.dumps(body).encode(), head=response(JSON))
    assert found.usage is None
    assert found.output == (
        {"role": "assistant", "content": [{"type": "text", "text": "Hi."}], "usage": usage},
    )
    assert found.complete


def test_groq_and_mistral_transcripts() -> None:
    groq = decode(
        TRANSCRIPTIONS,
        json.dumps({"text": "Hi.", "x_groq": {"id": "req_1"}}).encode(),
        head=response(JSON),
    )
    assert (groq.response_id, groq.usage, groq.complete) == ("req_1", None, True)
    usage = {
        "prompt_audio_seconds": 203,
        "prompt_tokens": 4,
        "total_tokens": 3945,
        "completion_tokens": 635,
    }
    done = {"model": "voxtral-mini-2507", "text": "Hi.", "language": None, "usage": usage}
    mistral = decode(TRANSCRIPTIONS, json.dumps(done).encode(), head=response(JSON))
    assert mistral.model == "voxtral-mini-2507"
    assert mistral.usage == Usage(input_tokens=4, output_tokens=635)
    streamed = decode_events(
        TRANSCRIPTIONS,
        [
            {"type": "transcription.language", "audio_language": "en"},
            {"type": "transcription.text.delta", "text": "Hi"},
            {"type": "transcription.text.delta", "text": "."},
            {"type": "transcription.done", **done},
        ],
    )
    assert streamed.output == mistral.output
    assert (streamed.usage, streamed.model) == (mistral.usage, mistral.model)
    assert streamed.chunk_ns == (1_001, 1_002)


@pytest.mark.parametrize(
    "text", ["Hello there.\n", "data: is plural\n\n", "1\n00:00 --> 00:01\nHi"]
)
def test_a_transcript_as_text(text: str) -> None:
    request = LlmRequest("whisper-1", False, params={"response_format": "text"})
    decoder = TRANSCRIPTIONS.response_decoder(response("text/plain; charset=utf-8"), request)
    for at in range(0, len(text), 5):
        decoder.feed(text[at : at + 5].encode(), 1)
    found = decoder.finish(True)
    assert said(found) == [{"type": "text", "text": text}]
    assert found.complete
    assert not decoder.finish(False).complete


STREAM: list[Any] = [
    {"type": "transcript.text.delta", "delta": "I see"},
    {"type": "transcript.text.segment", "id": "s", "text": "I see", "speaker": "A"},
    {"type": "transcript.text.delta", "delta": " skies"},
    {"type": "transcript.text.done", "text": "I see skies", "usage": TOKENS},
]


def test_a_transcript_as_a_stream() -> None:
    found = decode_events(TRANSCRIPTIONS, STREAM)
    assert said(found) == [{"type": "text", "text": "I see skies"}]
    assert found.chunk_ns == (1_000, 1_002)
    assert found.usage == Usage(input_tokens=14, output_tokens=101, input_audio_tokens=14)
    assert found.complete
    cut = decode_events(TRANSCRIPTIONS, STREAM[:3])
    assert said(cut) == said(found)
    assert not cut.complete
    sent = Sent(sse(STREAM), "text/event-stream")
    theirs = sent.client.audio.transcriptions.create(file=("a", b"x"), model="m", stream=True)
    assert [event.type for event in theirs] == [event["type"] for event in STREAM]


# Speech


def test_sound_is_counted_and_not_kept() -> None:
    decoder = SPEECH.response_decoder(response("audio/mpeg"), LlmRequest("tts-1", False))
    for _ in range(200):
        decoder.feed(bytes(1 << 20), 1)
    found = decoder.finish(True)
    assert said(found) == [{"type": "audio", "size_bytes": 200 << 20, "media_type": "audio/mpeg"}]
    assert found.complete
    assert found.usage is None


def test_speech_as_a_stream() -> None:
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    events = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(b"x" * size).decode()}
        for size in (100, 101, 102)
    ]
    found = decode_events(SPEECH, [*events, {"type": "speech.audio.done", "usage": usage}])
    assert said(found) == [{"type": "audio", "size_bytes": 303}]
    assert found.chunk_ns == (1_000, 1_001, 1_002)
    assert found.usage == Usage(input_tokens=14, output_tokens=101)
    assert found.complete
    assert not decode_events(SPEECH, events).complete


# Images

IMAGE_USAGE = {
    "total_tokens": 100,
    "input_tokens": 50,
    "output_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}


def test_images_as_json() -> None:
    body = {
        "created": 1,
        "output_format": "png",
        "size": "1024x1024",
        "data": [
            {"b64_json": ENCODED, "revised_prompt": "a cat"},
            {"url": "https://x.example/i.png"},
            {"url": "data:image/png;base64," + ENCODED},
        ],
        "usage": IMAGE_USAGE,
    }
    for one in (GENERATIONS, EDITS, api("/v1/images/variations")):
        found = decode(one, json.dumps(body).encode(), head=response(JSON))
        about = {"type": "image", "output_format": "png", "size": "1024x1024"}
        assert said(found) == [
            {**about, "size_bytes": len(PICTURE), "revised_prompt": "a cat"},
            {**about, "url": "https://x.example/i.png"},
            {**about, "size_bytes": len(PICTURE)},
        ]
        assert found.usage == Usage(input_tokens=50, output_tokens=50, input_image_tokens=40)
        assert found.complete


@pytest.mark.parametrize(
    ("one", "kind"), [(GENERATIONS, "image_generation"), (EDITS, "image_edit")]
)
def test_images_as_a_stream(one: Any, kind: str) -> None:
    about = {"created_at": 1, "size": "1024x1024", "quality": "high", "output_format": "png"}
    partial = {"type": f"{kind}.partial_image", "b64_json": ENCODED, "partial_image_index": 0}
    last = {"type": f"{kind}.completed", "b64_json": ENCODED, "usage": IMAGE_USAGE}
    found = decode_events(one, [{**partial, **about}, {**last, **about}])
    assert ENCODED not in json.dumps(found.output)
    assert said(found) == [
        {
            "type": "image",
            "size_bytes": len(PICTURE),
            "output_format": "png",
            "size": "1024x1024",
            "quality": "high",
        }
    ]
    assert found.chunk_ns == (1_000, 1_001)
    assert found.usage == Usage(input_tokens=50, output_tokens=50, input_image_tokens=40)
    assert found.complete
    cut = decode_events(one, [{**partial, **about}])
    assert (cut.output, cut.complete) == ((), False)


# Errors, splits and hostile bodies


@pytest.mark.parametrize("one", [TRANSCRIPTIONS, SPEECH, GENERATIONS, EDITS])
def test_errors(one: Any) -> None:
    detail = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    body = json.dumps({"error": detail}).encode()
    for head in (response(JSON, 400), response("text/plain", 400)):
        assert decode(one, body, head=head).error == LlmError("invalid_request_error", "no")
    for event in ({"error": detail}, {"type": "error", "error": detail}):
        found = decode_events(one, [event])
        assert found.error == LlmError("invalid_request_error", "no")
    found = decode(one, b"", head=response(JSON), complete=False)
    assert (found.output, found.error, found.complete) == ((), None, False)


BODIES = [
    (TRANSCRIPTIONS, sse(STREAM), response()),
    (TRANSCRIPTIONS, json.dumps(STREAM[-1]).encode(), response(JSON)),
    (EDITS, json.dumps({"data": [{"b64_json": ENCODED}]}).encode(), response(JSON)),
    (SPEECH, PICTURE, response("audio/wav")),
    (SPEECH, PICTURE, response(None)),
]


@given(which=st.sampled_from(BODIES), cuts=st.lists(st.integers(0, 900), max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same(which: Any, cuts: list[int]) -> None:
    one, body, head = which
    assert decode(one, body, head=head, cuts=cuts) == decode(one, body, head=head)


DOCUMENTS = [
    *STREAM,
    {"type": "speech.audio.delta", "audio": ENCODED},
    {"type": "speech.audio.done", "usage": TOKENS},
    {"type": "image_edit.completed", "b64_json": ENCODED, "usage": IMAGE_USAGE, "size": "1x1"},
    {"data": [{"b64_json": ENCODED, "url": "u"}], "text": "t", "model": "m", "usage": TOKENS},
    {"error": {"type": "t", "message": "m"}},
]


@given(events=mutated(DOCUMENTS), body=st.binary(max_size=60))
@settings(max_examples=80, deadline=None)
def test_hostile_bodies(events: list[Any], body: bytes) -> None:
    for one in (TRANSCRIPTIONS, SPEECH, GENERATIONS, EDITS):
        decode(one, sse(events), head=response())
        decode(one, body, head=response(None))
        for event in events:
            decode(one, json.dumps(event).encode(), head=response(JSON))
