"""Secrets in headers that HTTP/2 compresses: masked as HTTP/1's are, live and replayed."""

from __future__ import annotations

from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.pipeline import Pipeline
from collector.redaction import HeaderRedactor, Redactor, without_secrets
from tests.collector.http.http2_traffic import PREFACE
from tests.collector.http.test_http2 import SETTINGS, Fields, data
from tests.collector.test_http2_redaction import head_frame
from tests.frames import (
    API_KEY,
    INFO,
    SALT,
    Wire,
    answer,
    ask,
    conversation,
    final_rows,
    text,
    user,
)

QUERY_KEY = b"pQ5rS6tU7vW8xY9zA0bC1dD2"
FINGERPRINT = Redactor(SALT).fingerprint(API_KEY)


def http2_call(*, huffman: bool = True, cuts: tuple[int, ...] = ()) -> list[bytes]:
    """The frames of a call of Anthropic's API."""
    request = ask([user("hello")]).partition(b"\r\n\r\n")[2]
    response = answer(text("hi")).partition(b"\r\n\r\n")[2]
    asked: Fields = [
        *((b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"api.anthropic.com")),
        (b":path", b"/v1/messages?beta=true&key=" + QUERY_KEY),
        *((b"user-agent", b"Anthropic/Python 0.75.0"), (b"x-api-key", API_KEY)),
    ]
    answered: Fields = [(b":status", b"200"), (b"content-type", b"application/json")]
    wire = Wire()
    block = hpack.Encoder().encode(asked, huffman)
    wire.sends(PREFACE + SETTINGS + head_frame(block) + data(request, 1, "END_STREAM"), cuts)
    wire.receives(SETTINGS + head_frame(hpack.Encoder().encode(answered, huffman)))
    return wire.receives(data(response, 1, "END_STREAM")).closes().frames


def call_of(frames: list[bytes], header_value: HeaderRedactor) -> Any:
    pipeline = Pipeline(INFO, Redactor(SALT).redact_text, header_value=header_value)
    for frame in frames:
        pipeline.feed(frame)
    (call,) = final_rows([pipeline.take(), pipeline.finish()])["calls"].values()
    return call


@pytest.mark.parametrize("huffman", [True, False])
def test_a_call_is_the_same_live_replayed_and_over_http1(huffman: bool) -> None:
    frames = http2_call(huffman=huffman)
    live, kept = Redactor(SALT, bodies=False), Redactor(SALT)
    first = call_of([live.frame(frame) for frame in frames], live.header_value)
    recorded = [kept.frame(frame) for frame in frames]
    replayed = call_of(recorded, Redactor(b"another salt").header_value)
    http1 = conversation(ask([user("hello")]), answer(text("hi")))
    over_http1 = call_of([live.frame(frame) for frame in http1], live.header_value)
    assert first == replayed
    assert (first.protocol, over_http1.protocol) == ("http/2", "http/1.1")
    assert {call.credential for call in (first, replayed, over_http1)} == {FINGERPRINT}
    assert (first.status, first.provider, first.host) == ("ok", "anthropic", "api.anthropic.com")
    assert call_of(recorded, kept.header_value) == first, "captured and recorded at once"


def test_a_key_that_two_reads_cut_has_no_fingerprint_when_recorded() -> None:
    kept = Redactor(SALT)
    frames = http2_call(huffman=False)
    cut = frames[0].index(API_KEY) - frames[0].index(PREFACE) + 20
    recorded = [kept.frame(frame) for frame in http2_call(huffman=False, cuts=(cut,))]
    assert call_of(recorded, Redactor(SALT).header_value).credential is None


def test_without_a_redactor_nothing_secret_is_seen() -> None:
    assert call_of(http2_call(), without_secrets).credential is None


VALUES = (
    (b"authorization", b"Bearer " + API_KEY, b"Bearer [redacted:"),
    (b"x-api-key", API_KEY, b"[redacted:"),
    (b"cookie", b"session=Qx7opaqueZ9y8x7w6v5u4t3s2", b"[redacted:"),
    (b":path", b"/v1?key=" + QUERY_KEY + b"&v=2", b"/v1?key=[redacted:"),
    (b"x-any", b"id=" + API_KEY, b"id=[redacted:"),
)


@pytest.mark.parametrize(("name", "value", "begin"), VALUES)
def test_values_are_masked_once(name: bytes, value: bytes, begin: bytes) -> None:
    redactor = Redactor(SALT, bodies=False)
    masked = redactor.header_value(name, value)
    assert masked.startswith(begin)
    assert len(masked) == len(value)
    assert redactor.header_value(name, masked) == masked
    assert Redactor(b"another", bodies=False).header_value(name, masked) == masked
    assert not any(value[at : at + 12] in without_secrets(name, value) for at in range(8, 24))


def test_other_values_stay() -> None:
    redactor = Redactor(SALT, bodies=False)
    for name, value in ((b"accept", b"*/*"), (b":path", b"/v1/messages"), (b"x-api-key", b"")):
        assert redactor.header_value(name, value) is value
        assert without_secrets(name, value) == value


@given(st.binary(min_size=1, max_size=60))
def test_what_is_not_known_to_be_a_mask_gets_no_fingerprint_from_a_recording(value: bytes) -> None:
    seen = Redactor(SALT).header_value(b"x-api-key", value)
    assert len(seen) == len(value)
    assert b"[redacted:" not in seen or b"[redacted:" in value
