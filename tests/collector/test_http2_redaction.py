"""Recorded HTTP/2: no credential is left in it, and it still decodes."""

from __future__ import annotations

from functools import cache

import hpack
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    SettingsFrame,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.redaction import Redactor
from probes.events import Direction, Source
from tests.collector.http.transcripts import pieces
from tests.frames import API_KEY, SALT, closed, payload, plain_data

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
COOKIE = b"session=Qx7opaqueZ9y8x7w6v5u4t3s2; theme=dark"
QUERY_KEY = b"pQ5rS6tU7vW8xY9zA0bC1dD2"
SECRETS = (API_KEY, COOKIE, QUERY_KEY)
MARK = f"[redacted:{Redactor(SALT).fingerprint(API_KEY)}]".encode()
Header = tuple[bytes, bytes]
Block = list[tuple[bytes, bytes]]

REQUEST: Block = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"llm.example"),
    (b":path", b"/v1/messages?beta=true&key=" + QUERY_KEY + b"&v=2"),
    (b"user-agent", b"agent/1.0"),
    (b"authorization", b"Bearer " + API_KEY),
    (b"cookie", COOKIE),
    (b"content-type", b"application/json"),
    (b"accept", b"*/*"),
]
STARTED = PREFACE + SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 20}).serialize()


@cache
def codings(secret: bytes) -> tuple[str, ...]:
    """Parts of a secret's Huffman code, in binary digits."""
    bits = format(int.from_bytes(b"\1" + ENCODER.encode(secret), "big"), "b")[1:-8]
    return tuple(bits[at : at + 60] for at in range(0, len(bits) - 60, 30))


def gives_away(data: bytes, secret: bytes) -> bool:
    """Does a longer part of the secret stand in the bytes, plain or coded, in any alignment?"""
    if any(secret[at : at + 8] in data for at in range(len(secret) - 7)):
        return True
    bits = format(int.from_bytes(b"\1" + data, "big"), "b")
    return any(part in bits for part in codings(secret))


class Side:
    """One direction of a connection as it is captured and redacted."""

    def __init__(
        self,
        redactor: Redactor | None = None,
        direction: int = Direction.WRITE,
        source: Source = Source.GO,
    ) -> None:
        self.redactor = redactor or Redactor(SALT)
        self.direction = direction
        self.source = source
        self.position = 0

    def read(self, data: bytes) -> bytes:
        frame = plain_data(data, self.direction, position=self.position, source=self.source)
        self.position += len(data)
        masked = payload(self.redactor.frame(frame))
        assert len(masked) == len(data)
        return masked

    def reads(self, *reads: bytes) -> bytes:
        return b"".join(self.read(data) for data in reads)


def frames_of(stream: bytes) -> list[Frame]:
    result, view = [], memoryview(stream.removeprefix(PREFACE))
    while view:
        frame, size = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + size])
        result.append(frame)
        view = view[9 + size :]
    return result


def blocks_in(stream: bytes) -> list[Block]:
    """All header blocks of a direction, by another decoder."""
    decoder, result, block = hpack.Decoder(), [], b""
    decoder.max_allowed_table_size = 65536
    for frame in frames_of(stream):
        if isinstance(frame, HeadersFrame | ContinuationFrame | PushPromiseFrame):
            block += frame.data
            if "END_HEADERS" in frame.flags:
                result.append([(name, value) for name, value in decoder.decode(block, raw=True)])
                block = b""
    return result


def head_frame(block: bytes, stream: int = 1) -> bytes:
    frame = HeadersFrame(stream, block)
    frame.flags.add("END_HEADERS")
    return frame.serialize()


def sent(*blocks: Block, huffman: bool = True) -> bytes:
    encoder = hpack.Encoder()
    heads = [
        head_frame(encoder.encode(block, huffman), 2 * n + 1) for n, block in enumerate(blocks)
    ]
    return STARTED + b"".join(heads)


def test_what_is_looked_for_is_in_what_is_sent() -> None:
    for huffman in (True, False):
        assert all(gives_away(sent(REQUEST, huffman=huffman), secret) for secret in SECRETS)


def test_a_request_of_a_real_client_library() -> None:
    client = H2Connection(H2Configuration(client_side=True, header_encoding=False))
    client.initiate_connection()
    side = Side()
    whole = side.read(client.data_to_send())
    for stream in (1, 3):
        client.send_headers(stream, REQUEST)
        client.send_data(stream, b'{"a": 1}', end_stream=True)
        whole += side.read(client.data_to_send())
    assert not any(gives_away(whole, secret) for secret in SECRETS)
    first, second = blocks_in(whole)
    assert first == second
    values = dict(first)
    assert values[b"authorization"].startswith(b"Bearer " + MARK)
    assert len(values[b"authorization"]) == len(b"Bearer " + API_KEY)
    assert len(values[b"cookie"]) == len(COOKIE)
    path = values[b":path"]
    assert path.startswith(b"/v1/messages?beta=true&key=[redacted:")
    assert path.endswith(b"&v=2")
    assert {**values, **dict([REQUEST[3], *REQUEST[5:7]])} == dict(REQUEST)
    assert whole.endswith(b'{"a": 1}')


@pytest.mark.parametrize("huffman", [True, False])
def test_the_fingerprint_is_that_of_the_key_elsewhere(huffman: bool) -> None:
    whole = Side().read(sent(REQUEST, huffman=huffman))
    assert dict(blocks_in(whole)[0])[b"authorization"].startswith(b"Bearer " + MARK)
    assert b"**" in whole or huffman


def test_masks_of_plain_values_are_as_in_http1() -> None:
    ((*_, (name, value)),) = blocks_in(Side().read(sent([(b"x-api-key", API_KEY)], huffman=False)))
    assert (name, value) == (b"x-api-key", MARK + b"*" * (len(API_KEY) - len(MARK)))


def test_keys_by_their_shape_in_any_header() -> None:
    whole = Side().read(sent([(b"x-custom", b"id=" + API_KEY + b"; a")]))
    value = blocks_in(whole)[0][0][1]
    assert value.startswith(b"id=" + MARK)
    assert value.endswith(b"; a")


def test_padding_priority_continuation_and_push() -> None:
    encoder = hpack.Encoder()
    block = encoder.encode(REQUEST)
    first = HeadersFrame(1, block[:70], pad_length=9, depends_on=3, stream_weight=5)
    first.flags |= {"PADDED", "PRIORITY"}
    second, third = ContinuationFrame(1, block[70:100]), ContinuationFrame(1, block[100:])
    third.flags.add("END_HEADERS")
    push = PushPromiseFrame(1, 2, encoder.encode(REQUEST), pad_length=200)
    push.flags |= {"PADDED", "END_HEADERS"}
    stream = STARTED + b"".join(
        frame.serialize() for frame in (first, second, third, PingFrame(0, b"12345678"), push)
    )
    whole = Side().read(stream)
    assert not any(gives_away(whole, secret) for secret in SECRETS)
    assert [dict(block)[b"authorization"][:26] for block in blocks_in(whole)] == [
        b"Bearer " + MARK
    ] * 2


def is_secret(name: bytes, value: bytes) -> bool:
    named = name in (b"authorization", b"cookie", b"set-cookie", b"x-api-key")
    return named or API_KEY in value or QUERY_KEY in value


def decodes_alike(masked: bytes, whole: bytes) -> None:
    """Blocks decode to the same names and lengths, and to the same values but for the secrets."""
    for found, expected in zip(blocks_in(masked), blocks_in(whole), strict=True):
        assert [name for name, _ in found] == [name for name, _ in expected]
        for (name, value), (_, before) in zip(found, expected, strict=True):
            assert len(value) == len(before)
            assert value == before or is_secret(name, before)


names = st.sampled_from(
    (b"authorization", b"cookie", b"x-api-key", b"accept", b"x-trace", b":path")
)
some_values = st.sampled_from(
    (b"Bearer " + API_KEY, API_KEY, COOKIE, b"*/*", b"/v1?key=" + QUERY_KEY, b"x" * 200, b"")
)
some_blocks = st.lists(
    st.tuples(st.lists(st.tuples(names, some_values), max_size=6), st.booleans()), max_size=4
)


@example([([(b"authorization", b"x" * 200)], True)], [], {52, 94})
@given(some_blocks, st.lists(st.integers(1, 400), max_size=6), st.sets(st.integers(1, 1500)))
@settings(max_examples=80, deadline=None)
def test_any_blocks_in_any_frames_and_any_reads(
    plan: list[tuple[Block, bool]], sizes: list[int], cuts: set[int]
) -> None:
    encoder, whole = hpack.Encoder(), STARTED
    for number, (block, huffman) in enumerate(plan):
        parts = pieces(encoder.encode(block, huffman), sizes)
        kinds = [HeadersFrame, *[ContinuationFrame] * (len(parts) - 1)]
        made = [kind(2 * number + 1, part) for kind, part in zip(kinds, parts, strict=False)]
        if made:
            made[-1].flags.add("END_HEADERS")
        data = DataFrame(2 * number + 1, b"{}")
        whole += b"".join(frame.serialize() for frame in (*made, data))
    reads = pieces(whole, cuts)
    side = Side()
    masked = side.reads(*reads)
    assert not gives_away(masked, API_KEY)
    fields = [field for block, _ in plan for field in block]
    sent_openly = {value for name, value in fields if not is_secret(name, value)}
    assert COOKIE in sent_openly or not gives_away(masked, COOKIE)
    decodes_alike(masked, whole)
    assert side.redactor.blanked_bytes == 0
    if not any(value.startswith(b"Bearer") for _, value in fields):  # a cut scheme is masked too
        assert Side().reads(*pieces(masked, cuts)) == masked


def test_a_connection_that_is_read_byte_by_byte() -> None:
    whole = sent(REQUEST, REQUEST)
    masked = Side().reads(*(whole[at : at + 1] for at in range(len(whole))))
    assert not any(gives_away(masked, secret) for secret in SECRETS)
    decodes_alike(masked, whole)


def test_a_large_cookie_over_two_chunks_of_one_call() -> None:
    cookie = b"".join(b"%05d" % number for number in range(6000))
    block = hpack.Encoder().encode([(b"cookie", cookie), (b"accept", b"*/*")])
    first, second = HeadersFrame(1, block[:16384]), ContinuationFrame(1, block[16384:])
    second.flags.add("END_HEADERS")
    whole = STARTED + first.serialize() + second.serialize()
    masked = Side().reads(*pieces(whole, range(16384, len(whole), 16384)))
    (block_after,) = blocks_in(masked)
    assert len(block_after[0][1]) == len(cookie)
    value = block_after[0][1]
    assert sum(value.count(digit) for digit in b"0123456789") <= 1  # one where the cut is
    assert block_after[1] == (b"accept", b"*/*")


# What a server sends; halves


@pytest.mark.parametrize("source", [Source.GO, Source.RUSTLS])
def test_a_servers_direction_is_known_by_its_settings(source: Source) -> None:
    side = Side(direction=Direction.READ, source=source)
    settings_frame = SettingsFrame(0, {SettingsFrame.MAX_CONCURRENT_STREAMS: 100}).serialize()
    block = hpack.Encoder().encode([(b":status", b"200"), (b"set-cookie", COOKIE)])
    whole = side.reads(*pieces(settings_frame + head_frame(block), {3, 12, 30, 40}))
    assert not gives_away(whole, COOKIE)
    assert blocks_in(whole)[0][0] == (b":status", b"200")


def test_directions_have_tables_of_their_own() -> None:
    redactor = Redactor(SALT)
    there, back = Side(redactor), Side(redactor, Direction.READ)
    whole = sent(REQUEST, REQUEST)
    answer = SettingsFrame(0).serialize() + head_frame(
        hpack.Encoder().encode([(b":status", b"200"), (b"set-cookie", COOKIE)])
    )
    masked = there.read(whole[:90])
    masked_answer = back.read(answer)
    masked += there.read(whole[90:])
    decodes_alike(masked, whole)
    assert not gives_away(masked_answer, COOKIE)


def test_a_connection_under_a_handle_that_was_used_before() -> None:
    redactor = Redactor(SALT)
    there, back = Side(redactor), Side(redactor, Direction.READ)
    answer = SettingsFrame(0).serialize() + head_frame(
        hpack.Encoder().encode([(b":status", b"200"), (b"set-cookie", COOKIE)])
    )
    for _ in range(2):
        decodes_alike(there.read(sent(REQUEST)), sent(REQUEST))
        decodes_alike(back.read(answer), answer)
        there.read(DataFrame(1, b"x" * 100).serialize()[:50])  # it ends inside a frame
        back.read(DataFrame(1, b"x" * 100).serialize()[:50])
    assert there.read(b"GET / HTTP/1.1\r\nx-api-key: hunter2\r\n\r\n").endswith(b"*\r\n\r\n")
    assert redactor.blanked_bytes == 0


# Bodies


def test_keys_in_bodies_are_masked_over_frames_and_streams() -> None:
    body = b'{"content": "use %s now"}' % API_KEY
    parts = pieces(body, {20, 31})
    data = b"".join(
        DataFrame(1, part).serialize() + DataFrame(3, b"other text ").serialize() for part in parts
    )
    padded = DataFrame(5, body, pad_length=3)
    padded.flags.add("PADDED")
    whole = Side().reads(STARTED, data[:60], data[60:], padded.serialize())
    frames = [frame for frame in frames_of(whole) if isinstance(frame, DataFrame)]
    first = b"".join(frame.data for frame in frames if frame.stream_id == 1)
    assert b"".join(frame.data for frame in frames if frame.stream_id == 3) == b"other text " * 3
    for masked in (first, frames[-1].data):
        assert not any(API_KEY[at : at + 8] in masked for at in range(3, len(API_KEY) - 8))
        assert masked.startswith(b'{"content": "use ')
        assert masked.endswith(b' now"}')


def test_innocent_frames_pass_as_they_are() -> None:
    redactor = Redactor(SALT)
    body = b'data: {"delta": " the next few words"}\n\n'
    stream = SettingsFrame(0).serialize() + head_frame(
        hpack.Encoder().encode([(b":status", b"200"), (b"date", b"Mon, 01 Jan 2026 00:00:00 GMT")])
    )
    frame = plain_data(stream + DataFrame(1, body).serialize() * 50, Direction.READ)
    assert redactor.frame(frame) is frame


def test_without_bodies_http2_is_not_looked_at() -> None:
    redactor = Redactor(SALT, bodies=False)
    frame = plain_data(sent(REQUEST))
    assert redactor.frame(frame) is frame


# Late, and with holes


def test_a_latecomer_masks_what_it_cannot_name() -> None:
    first = sent(REQUEST, [(b"x-custom-token", b"harmless"), *REQUEST])
    encoder = hpack.Encoder()
    encoder.encode([(b"x-internal", b"one"), *REQUEST])
    unnamed = encoder.encode([(b"x-internal", b"opaque-value-17"), (b"accept", b"text/html")])
    side = Side()
    masked = side.reads(head_frame(unnamed), head_frame(hpack.Encoder().encode(REQUEST), 3))
    assert b"opaque-value-17" not in masked
    assert not gives_away(masked, b"opaque-value-17")
    assert not any(gives_away(masked, secret) for secret in SECRETS)
    assert ENCODER.encode(b"text/html") in masked
    assert side.redactor.blanked_bytes == 0
    assert not any(gives_away(Side().read(first[len(STARTED) :]), secret) for secret in SECRETS)


def test_a_latecomer_in_the_middle_of_a_body() -> None:
    tail = b'"text": "and so on and so on"}' * 10
    whole = tail + DataFrame(1, b"{}").serialize() + sent(REQUEST)[len(STARTED) :]
    masked = Side().read(whole)
    assert masked.startswith(tail)
    assert not any(gives_away(masked, secret) for secret in SECRETS)


def with_hole(whole: bytes, start: int, end: int, cuts: set[int]) -> tuple[bytes, Redactor]:
    """What is recorded where the bytes from `start` to `end` were lost."""
    side, result = Side(), b""
    result += side.reads(*pieces(whole[:start], {cut for cut in cuts if cut < start}))
    side.position += end - start
    rest = whole[end:]
    result += side.reads(*pieces(rest, {cut - end for cut in cuts if end < cut < len(whole)}))
    return result, side.redactor


def test_a_hole_inside_a_body_costs_nothing() -> None:
    whole = STARTED + DataFrame(1, b"x" * 5000).serialize() + sent(REQUEST)[len(STARTED) :]
    masked, redactor = with_hole(whole, 100, 4000, {4100})
    assert redactor.blanked_bytes == 0
    assert masked[-200:] == Side().read(whole)[-200:]


def test_a_hole_in_a_header_block_blanks_the_rest_of_it_and_that_is_counted() -> None:
    whole = sent(REQUEST, REQUEST) + head_frame(hpack.Encoder().encode(REQUEST), 5)
    start = len(STARTED) + 30
    masked, redactor = with_hole(whole, start, start + 10, set())
    rest = len(sent(REQUEST)) - start - 10
    assert masked[start : start + rest] == bytes(rest)
    assert redactor.blanked_bytes == rest
    assert not any(gives_away(masked, secret) for secret in SECRETS)
    redactor.frame(closed(0, 0))
    assert redactor.blanked_bytes == rest


WITH_HOLE = (
    sent(REQUEST)
    + DataFrame(1, b"{}" * 40).serialize()
    + head_frame(hpack.Encoder().encode(REQUEST), 3)
    + DataFrame(3, b"{}" * 40).serialize()
    + head_frame(hpack.Encoder().encode(REQUEST[::-1]), 5)
)


@given(
    st.integers(0, len(WITH_HOLE) - 1),
    st.integers(1, 300),
    st.sets(st.integers(1, len(WITH_HOLE) - 1), max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_a_hole_anywhere_gives_nothing_away(start: int, size: int, cuts: set[int]) -> None:
    begin = max(start, len(STARTED))  # what is known from its beginning on
    end = min(begin + size, len(WITH_HOLE))
    masked, _ = with_hole(WITH_HOLE, begin, end, cuts)
    assert not any(gives_away(masked, secret) for secret in SECRETS)


def test_bytes_that_come_twice_are_not_trusted() -> None:
    side = Side()
    whole = sent(REQUEST)
    masked = side.read(whole)
    side.position -= 50
    masked += side.read(whole[-50:] + DataFrame(1, b"{}").serialize())
    assert not any(gives_away(masked, secret) for secret in SECRETS)
    assert masked.endswith(DataFrame(1, b"{}").serialize())
    assert side.redactor.blanked_bytes == 50


def test_a_block_that_is_not_hpack_is_blanked_and_the_next_is_read() -> None:
    bad = b"\x82\x40\x01a\x84\xff\xff\xff\xff" + API_KEY
    side = Side()
    masked = side.reads(STARTED, head_frame(bad), sent(REQUEST)[len(STARTED) :])
    assert side.redactor.blanked_bytes == len(bad) - 1
    assert not any(gives_away(masked, secret) for secret in SECRETS)
    assert blocks_in(STARTED + masked[-len(sent(REQUEST)[len(STARTED) :]) :])


def test_frames_out_of_order() -> None:
    block = hpack.Encoder().encode(REQUEST)
    cut = HeadersFrame(1, block[:60]).serialize()
    rest = ContinuationFrame(1, block[60:])
    rest.flags.add("END_HEADERS")
    side = Side()
    masked = side.read(
        STARTED
        + cut
        + PingFrame(0, bytes(8)).serialize()
        + rest.serialize()
        + cut
        + head_frame(block)
    )
    assert not any(gives_away(masked, secret) for secret in SECRETS)
    assert side.redactor.blanked_bytes > len(rest.data)


# Not HTTP/2


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(bytes(20))), max_size=8))
def test_other_bytes_never_raise(reads: list[bytes]) -> None:
    side = Side()
    side.reads(*reads)
    begun = Side()
    begun.reads(STARTED, *reads)


def test_binary_bodies_of_http1_are_not_taken_for_frames() -> None:
    side = Side(direction=Direction.READ)
    side.read(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    frames = head_frame(hpack.Encoder().encode(REQUEST))
    assert side.read(frames) == frames
    for data in (bytes(1000), b"\0\0\0\x04" * 200, bytes(range(256)) * 4):
        assert side.read(data) == data


def test_what_only_looked_like_a_frame_passes() -> None:
    side = Side()
    looks = b"\0\0\x05\0\0\0\0\0\x01hello"
    assert side.read(looks) == looks
    assert side.read(b"and now some other protocol\0\0\0") == b"and now some other protocol\0\0\0"
    assert side.redactor.blanked_bytes == 0


def test_memory_of_a_connection_is_bounded() -> None:
    side = Side()
    side.read(STARTED)
    for stream in range(1, 2001, 2):
        side.read(DataFrame(stream, b"sk-" + b"a" * 300).serialize())
    (state,) = side.redactor._streams.values()
    frames = state.http2._frames
    assert frames is not None
    assert len(frames._tails) <= 128
    side.read(HeadersFrame(2001, b"\x40\x01a\x7f\xff\xff\xff\x07").serialize())
    for _ in range(2000):
        side.read(ContinuationFrame(2001, b"x" * 1000).serialize())
    assert len(frames._headers._buffer) <= 1 << 20


def test_channels_are_not_http2() -> None:
    data = sent([(b"x-api-key", b"opaque-value")])
    assert Side(source=Source.CHANNEL).read(data) == data
