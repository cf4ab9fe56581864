"""Any traffic on recorded WebSockets, and the calls in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.events import TextMessage
from wsproto.extensions import PerMessageDeflate

from collector.pipeline import Pipeline
from collector.redaction import Redactor
from probes.events import Direction
from tests.collector.http.transcripts import pieces
from tests.collector.http.websockets import MASK, Deflater, frame, peer
from tests.collector.test_pipeline import Rows, calls, run
from tests.collector.test_websocket_redaction import (
    DEFLATE,
    GET,
    MASKED_KEY,
    OTHER_KEY,
    READ,
    WRITE,
    Socket,
    gives_away,
    switching,
    texts,
)
from tests.frames import (
    API_KEY,
    INFO,
    SALT,
    Wire,
    final_rows,
)

# Any traffic

_words = st.lists(
    st.sampled_from((API_KEY, OTHER_KEY, b"sk-", b"ant", b" and ", b"\xff\0", b"api03", b'"')),
    max_size=9,
).map(b" ".join)


class Said(NamedTuple):
    data: bytes
    opcode: int
    fragments: tuple[int, ...]
    ping: bytes


_messages = st.lists(
    st.builds(
        Said,
        _words,
        st.sampled_from((1, 2)),
        st.lists(st.integers(1, 60), max_size=2).map(tuple),
        st.sampled_from((b"", b"ping", OTHER_KEY)),
    ),
    max_size=8,
)


def sent(said: Sequence[Said], mask: bytes, deflater: Deflater | None) -> bytes:
    data = b""
    for one in said:
        whole = deflater.payload(one.data) if deflater else one.data
        parts = pieces(whole, one.fragments)
        for number, part in enumerate(parts):
            opcode, last = 0 if number else one.opcode, number == len(parts) - 1
            rsv = 4 if deflater and not number else 0
            data += frame(part, opcode, fin=last, rsv=rsv, mask=mask)
            if one.ping and not last:
                data += frame(one.ping, 9, mask=mask)
    return data


@given(
    said=_messages,
    mask=st.sampled_from((b"", MASK)),
    parameters=st.sampled_from((None, "", "; client_no_context_takeover")),
    cuts=st.lists(st.integers(1, 900), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_any_traffic_keeps_its_length_and_gives_nothing_away(
    said: list[Said], mask: bytes, parameters: str | None, cuts: list[int]
) -> None:
    extensions = "" if parameters is None else DEFLATE + parameters
    takeover = not (parameters and mask)
    deflater = Deflater(takeover=takeover) if extensions else None
    direction = WRITE if mask else READ
    data = sent(said, mask, deflater)
    reads = pieces(data, cuts) if data else []
    socket, again = Socket(extensions), Socket(extensions)
    masked = [socket.read(direction, part) for part in reads]
    before = texts(data, extensions, by_client=bool(mask))
    found = texts(b"".join(masked), extensions, by_client=bool(mask))
    assert len(found) == len(before)
    lost = False
    for text, one in zip(found, before, strict=True):
        assert one is not None
        secret = any(key in one for key in (API_KEY, OTHER_KEY, b"sk-"))
        lost = lost or text is None
        if text is None:
            assert extensions
            continue
        assert len(text) == len(one)
        assert not lost or not takeover
        for key in (API_KEY, OTHER_KEY):
            assert not gives_away(text, key)
        if not secret:
            assert text == one
    assert (None in found) <= (socket.redactor.blanked_bytes > 0)
    if not socket.redactor.blanked_bytes:
        assert [again.read(direction, part) for part in masked] == masked


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=60), st.integers(-9, 90)), max_size=12),
    st.sampled_from(("", DEFLATE, DEFLATE + "; server_no_context_takeover", "x-unknown")),
)
@settings(max_examples=80)
def test_other_bytes_never_raise(reads: list[tuple[bool, bytes, int]], extensions: str) -> None:
    socket = Socket(extensions)
    for by_client, data, lost in reads:
        socket.read(Direction(by_client), data)
        socket.positions[by_client] = max(0, socket.positions[by_client] + max(lost, 0))


@given(
    st.lists(_words.map(lambda one: one.replace(b"\xff", b"").decode()), max_size=8),
    st.sampled_from(("", "; client_max_window_bits=9", "; client_no_context_takeover")),
)
@settings(max_examples=60, deadline=None)
def test_wsproto_reads_what_wsproto_sent_and_was_recorded(said: list[str], parameters: str) -> None:
    sender, receiver = PerMessageDeflate(), PerMessageDeflate()
    for end in (sender, receiver):
        end.finalize(DEFLATE + parameters.replace("=9", "=15" if end is receiver else "=9"))
    client, server = peer(True, sender), peer(False, receiver)
    socket = Socket(DEFLATE + parameters)
    for one in said:
        masked = socket.read(WRITE, client.send(TextMessage(one)))
        if socket.redactor.blanked_bytes:
            return
        server.receive_data(masked)
        (event,) = server.events()
        assert isinstance(event, TextMessage)
        assert len(event.data) == len(one)
        assert not gives_away(event.data.encode())
        if "sk-" not in one and OTHER_KEY.decode() not in one:
            assert event.data == one


# Calls


def recorded(deflate: bool, secret: bytes, cuts: Sequence[int] = ()) -> tuple[list[bytes], Rows]:
    """Two calls; what is sent and received holds the secret. The frames, and their rows."""
    wire = Wire().sends(GET).receives(switching(DEFLATE if deflate else ""))
    ways = (Deflater(), Deflater()) if deflate else None

    def wrapped(data: dict[str, object], mask: bytes) -> bytes:
        text = json.dumps(data).encode()
        return ways[bool(mask)].frame(text, mask) if ways else frame(text, mask=mask)

    for number in range(2):
        words = f"use {secret.decode()} in turn {number}"
        asked = {"type": "message", "role": "user", "content": words}
        wire.sends(
            wrapped({"type": "response.create", "model": "gpt-5", "input": [asked]}, MASK), cuts
        )
        response = {
            "id": f"resp_{number}",
            "status": "completed",
            "model": "gpt-5",
            "usage": {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25},
            "output": [
                {
                    "type": "message",
                    "id": f"msg_{number}",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": words, "annotations": []}],
                }
            ],
        }
        for kind, one in (
            ("response.created", {**response, "status": "in_progress", "output": []}),
            ("response.completed", response),
        ):
            wire.receives(wrapped({"type": kind, "response": one}, b""), cuts)
    wire.closes()
    return wire.frames, run(wire.frames)[1]


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("cuts", [(), (60,)])
def test_calls_without_secrets_are_the_same(deflate: bool, cuts: tuple[int, ...]) -> None:
    captured, rows = recorded(deflate, b"nothing", cuts)
    redactor = Redactor(SALT)
    assert [redactor.frame(one) for one in captured[2:]] == captured[2:]
    assert [row.status for row in calls(rows)] == ["ok", "ok"]


@pytest.mark.parametrize("deflate", [False, True])
def test_calls_with_secrets_have_the_contents_that_a_store_of_live_capture_has(
    deflate: bool,
) -> None:
    captured, rows = recorded(deflate, API_KEY)
    assert [row.status for row in calls(rows)] == ["ok", "ok"]
    assert [row.response_id for row in calls(rows)] == ["resp_0", "resp_1"]
    live = Redactor(SALT, bodies=False)
    pipeline = Pipeline(INFO, live.redact_text)
    for one in captured:
        pipeline.feed(live.frame(one))
    assert final_rows([pipeline.finish()]) == rows
    assert API_KEY.decode() not in repr(rows)
    assert MASKED_KEY.decode() in repr(rows["contents"])
