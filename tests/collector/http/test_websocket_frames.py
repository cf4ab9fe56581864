from __future__ import annotations

import os
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

from collector.http.events import Skipped
from collector.http.websocket_deflate import Extensions, negotiated
from collector.http.websocket_frames import Control, FrameReader, unmask
from collector.http.websocket_messages import Message
from tests.collector.http.transcripts import pieces
from tests.collector.http.websockets import (
    MASK,
    Deflater,
    accounted_bytes,
    datas,
    feed,
    frame,
    peer,
    reader,
    times,
    told,
)

HELLO = bytes.fromhex("810548656c6c6f")
BIG = "ü€".encode() * 1000


# RFC 6455, 5.7 and RFC 7692, 7.2.3


@pytest.mark.parametrize(
    ("wire", "text", "data"),
    [
        ("810548656c6c6f", True, b"Hello"),
        ("818537fa213d7f9f4d5158", True, b"Hello"),
        ("010348656c80026c6f", True, b"Hello"),
        ("827e0100" + "61" * 256, False, b"a" * 256),
        ("827f0000000000010000" + "61" * 65536, False, b"a" * 65536),
        ("8100", True, b""),
        ("818037fa213d", True, b""),
    ],
    ids=("plain", "masked", "fragments", "16-bit", "64-bit", "empty", "empty-masked"),
)
def test_messages_as_in_the_rfc(wire: str, text: bool, data: bytes) -> None:
    raw = bytes.fromhex(wire)
    assert told(reader().feed(raw, 1)) == [(text, data, len(raw), 0, None)]


@pytest.mark.parametrize(
    "wire",
    [
        "c107f248cdc9c90700",
        "4103f248cd8004c9c90700",
        "c10b000500faff48656c6c6f00",
        "c108f348cdc9c9070000",
        "c10df2480500" + "0000ffff" + "cac9c90700",
    ],
)
def test_compressed_messages_as_in_the_rfc(wire: str) -> None:
    assert datas(reader(deflate=True).feed(bytes.fromhex(wire), 1)) == [b"Hello"]


def test_a_message_refers_back_to_the_one_before_it() -> None:
    both = bytes.fromhex("c107f248cdc9c90700" + "c105f200110000")
    assert datas(reader(deflate=True).feed(both, 1)) == [b"Hello", b"Hello"]


def test_control_frames_between_fragments() -> None:
    wire = frame(b"Hel", fin=False) + frame(b"hi", 9) + frame(b"", 10) + frame(b"lo", 0)
    assert told(reader().feed(wire, 1)) == [
        (9, b"hi", 4),
        (10, b"", 2),
        (True, b"Hello", 9, 0, None),
    ]


def test_nothing_follows_a_close_frame() -> None:
    under = reader()
    wire = frame(b"part", fin=False) + frame((1000).to_bytes(2, "big") + b"bye", 8) + HELLO
    assert told(under.feed(wire, 1)) == [
        (8, b"\x03\xe8bye", 7),
        (True, None, 6, 0, "cut"),
        Skipped(0, 7, "after_close"),
    ]
    assert under.closed
    assert under.gap(10, 2) == []


def test_times_are_those_of_the_first_and_the_last_byte() -> None:
    wire = frame(b"Hel", fin=False, mask=MASK) + frame(b"lo", 0, mask=MASK)
    under = reader()
    events = [event for at, byte in enumerate(wire, 100) for event in under.feed(bytes([byte]), at)]
    assert times(events) == [(100, 100 + len(wire) - 1)]


# Extensions


def test_what_was_agreed() -> None:
    def of(*values: str) -> Extensions:
        return negotiated(tuple(("sec-websocket-extensions", value) for value in values))

    assert of() == Extensions()
    assert of("permessage-deflate") == Extensions(deflate=True)
    assert of("Permessage-Deflate; server_no_context_takeover; client_max_window_bits=12") == (
        Extensions(deflate=True, server_takeover=False)
    )
    assert of("permessage-deflate;client_no_context_takeover", "x-other; a=1") == Extensions(
        deflate=True, client_takeover=False, others=True
    )


def test_frames_of_an_unknown_extension_have_a_length_but_no_data() -> None:
    wire = frame(b"??", rsv=2) + frame(b"ab", rsv=4, fin=False) + frame(b"c", 0) + HELLO
    assert datas(reader(any_rsv=True).feed(wire, 1)) == [
        "unknown_extension",
        "unknown_extension",
        b"Hello",
    ]


# wsproto as the encoder

message_of = st.one_of(
    st.tuples(st.just("text"), st.text(max_size=300)),
    st.tuples(st.just("bytes"), st.binary(max_size=300)),
    st.tuples(st.just("text"), st.integers(1, 40_000).map(lambda size: "déjà " * (size // 5))),
)
control_of = st.tuples(st.sampled_from(("ping", "pong")), st.binary(max_size=125))


@settings(max_examples=60)
@given(
    st.lists(st.one_of(message_of, control_of), max_size=12),
    st.booleans(),
    st.sampled_from((None, "both", "client", "server", "neither")),
    st.integers(9, 15),
    st.lists(st.integers(1, 5_000), max_size=8),
    st.data(),
)
def test_wsproto_as_encoder(
    sent: list[tuple[str, str | bytes]],
    client: bool,
    takeover: str | None,
    bits: int,
    cuts: list[int],
    data: st.DataObject,
) -> None:
    extension = None
    if takeover is not None:
        extension = PerMessageDeflate(
            client_no_context_takeover=takeover in ("server", "neither"),
            server_no_context_takeover=takeover in ("client", "neither"),
            client_max_window_bits=bits,
            server_max_window_bits=bits,
        )
        extension._enabled = True
    end = peer(client, extension)
    wire = b""
    expected: list[object] = []
    for kind, value in sent:
        if isinstance(value, str):
            whole = value.encode()
            at = data.draw(st.integers(0, len(value)))
            wire += end.send(TextMessage(value[:at], message_finished=False))
            wire += end.send(Ping(b"between"))
            wire += end.send(TextMessage(value[at:], message_finished=True))
            expected += [(9, b"between"), (True, whole)]
        elif kind == "bytes":
            wire += end.send(BytesMessage(value))
            expected.append((False, value))
        else:
            wire += end.send(Ping(value) if kind == "ping" else Pong(value))
            expected.append((9 if kind == "ping" else 10, value))
    wire += end.send(CloseConnection(1000, "done"))
    expected.append((8, b"\x03\xe8done"))
    keeps = takeover == "both" or takeover == ("client" if client else "server")
    under = reader(deflate=takeover is not None, takeover=keeps)
    events = feed(under, pieces(wire, cuts))
    events += under.close(99)
    assert [
        (event.text, event.data) if isinstance(event, Message) else (event.opcode, event.payload)
        for event in events
        if not isinstance(event, Skipped)
    ] == expected
    assert accounted_bytes(events) == len(wire)


# Any bytes, any split


def traffic(seed: int, deflate: bool, mask: bytes) -> list[bytes]:
    """Frames of a direction."""
    dice, deflater, frames = random.Random(seed), Deflater(), []
    for _ in range(dice.randint(1, 12)):
        data = dice.choice((b"{}", BIG, dice.randbytes(dice.randint(0, 200))))
        kind = dice.random()
        if kind < 0.2:
            frames.append(frame(data[:100], dice.choice((9, 10)), mask=mask))
        elif kind < 0.4:
            frames.append(frame(data[:5], fin=False, mask=mask))
            frames.append(frame(data[5:], 0, mask=mask))
        elif deflate:
            frames.append(deflater.frame(data, mask))
        else:
            frames.append(frame(data, 2, mask=mask))
    return frames


def run(under: FrameReader, feeds: list[bytes], gaps: dict[int, int]) -> list[object]:
    events = []
    for number, data in enumerate(feeds):
        events += under.feed(data, number)
        if number in gaps:
            events += under.gap(gaps[number], number)
    events += under.close(len(feeds))
    assert under.pending_bytes == 0
    assert accounted_bytes(events) == sum(map(len, feeds))
    return told(events)


@settings(max_examples=60)
@given(
    st.integers(0, 1 << 30),
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=3),
    st.lists(st.integers(0, 20_000), max_size=2),
    st.lists(st.integers(0, 20_000), max_size=12),
    st.integers(1, 5_000),
)
def test_any_split_tells_the_same_and_every_byte_is_accounted_for(
    seed: int,
    deflate: bool,
    masked: bool,
    changes: list[tuple[int, int]],
    losses: list[int],
    cuts: list[int],
    lost: int,
) -> None:
    """Also of bytes that were changed, and with bytes missing at the same places."""
    wire = bytearray(b"".join(traffic(seed, deflate, MASK if masked else b"")))
    for at, value in changes:
        wire[at % len(wire)] = value
    stretches = pieces(bytes(wire), [at % len(wire) for at in losses])

    def told_of(split: bool) -> list[object]:
        feeds: list[bytes] = []
        gaps: dict[int, int] = {}
        for number, stretch in enumerate(stretches):
            feeds += pieces(stretch, cuts) if split else [stretch]
            if number + 1 < len(stretches):
                gaps[len(feeds) - 1] = lost
        return run(reader(deflate=deflate), feeds, gaps)

    assert told_of(True) == told_of(False)


@settings(max_examples=80)
@given(st.lists(st.binary(max_size=400), max_size=6), st.booleans())
def test_garbage_never_raises(feeds: list[bytes], deflate: bool) -> None:
    run(reader(deflate=deflate), feeds, {})


def test_a_direction_of_invalid_frames_is_given_up() -> None:
    wire = (frame(b"x", 2) * 5 + b"\xff") * 5_000
    lines = run(reader(), [wire], {})
    assert len(lines) == 33 * 6
    assert lines[-1] == Skipped(0, len(wire) - 33 * 15 - 32, "invalid_frame")


# Loss


def test_bytes_lost_inside_a_frame_cost_its_message_alone() -> None:
    under = reader()
    wire = frame(b"a" * 300, mask=MASK)
    events = under.feed(HELLO + wire[:50], 1) + under.gap(100, 2)
    events += under.feed(wire[150:] + HELLO, 3)
    assert told(events) == [
        (True, b"Hello", 7, 0, None),
        (True, None, len(wire) - 100, 100, "gap"),
        (True, b"Hello", 7, 0, None),
    ]


def test_a_loss_up_to_the_end_of_a_frame_ends_it() -> None:
    under = reader()
    wire = frame(b"a" * 300)
    events = under.feed(wire[:50], 1) + under.gap(len(wire) - 50, 2) + under.feed(HELLO, 3)
    assert datas(events) == ["gap", b"Hello"]
    assert times(events) == [(1, 2), (3, 3)]


def test_a_loss_in_one_fragment_costs_the_message() -> None:
    under = reader()
    wire = frame(b"a" * 50, fin=False)
    events = under.feed(wire[:10], 1) + under.gap(20, 2) + under.feed(wire[30:], 3)
    events += under.feed(frame(b"b", 9) + frame(b"c", 0) + HELLO, 4)
    assert told(events) == [
        (9, b"b", 3),
        (True, None, len(wire) - 20 + 3, 20, "gap"),
        (True, b"Hello", 7, 0, None),
    ]


def test_after_a_loss_between_frames_the_next_ones_are_found_again() -> None:
    under = reader()
    events = under.feed(HELLO + frame(b"b" * 20)[:2], 1) + under.gap(500, 2)
    assert told(events)[1:] == [(False, None, 2, 500, "gap")]
    assert [event.several for event in events if isinstance(event, Message)] == [False, True]
    tail = b"the end of a frame that nobody knows"
    found = feed(under, pieces(tail + HELLO * 6, range(0, 90, 7)), 10)
    assert told(found) == [Skipped(0, len(tail), "gap")] + [(True, b"Hello", 7, 0, None)] * 6
    assert times(found)[-1] == (20, 21)


def test_frames_too_few_to_be_told_from_chance_are_skipped() -> None:
    under = reader()
    events = under.gap(9, 1) + under.feed(HELLO * 3, 2) + under.close(3)
    assert told(events) == [(False, None, 0, 9, "gap"), Skipped(0, 21, "gap")]


@pytest.mark.parametrize("takeover", [True, False])
def test_what_refers_back_to_lost_messages_cannot_be_read(takeover: bool) -> None:
    deflater = Deflater(takeover)
    first, second, third, fourth = (deflater.frame(b"%d of several" % n) for n in range(4))
    under = reader(deflate=True, takeover=takeover)
    events = under.feed(first + second[:4], 1) + under.gap(3, 2)
    events += under.feed(second[7:] + third + HELLO + fourth, 3)
    refers = "after_loss"
    expected: list[bytes | str | None] = [b"0 of several", "gap", refers, b"Hello", refers]
    if not takeover:
        expected[2::2] = [b"2 of several", b"3 of several"]
    assert datas(events) == expected


def test_what_does_not_decompress_costs_those_that_refer_to_it() -> None:
    deflater = Deflater()
    wire = deflater.frame(b"one") + frame(b"\xff\xff\xff", rsv=4) + deflater.frame(b"two")
    assert datas(reader(deflate=True).feed(wire, 1)) == [b"one", "inflate", "after_loss"]


# Limits


def test_messages_over_the_limit_are_counted_and_not_kept() -> None:
    under = reader(limit=1000)
    wire = frame(b"a" * 1001) + HELLO + frame(b"b" * 990, fin=False) + frame(b"c" * 20, 0) + HELLO
    for cuts in (range(0, len(wire), 7), ()):
        events = feed(under, pieces(wire, cuts))
        assert datas(events) == ["too_long", b"Hello", "too_long", b"Hello"]
        assert accounted_bytes(events) == len(wire)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_decompression_bomb_stops_at_the_limit(takeover: bool) -> None:
    stream = zlib.compressobj(9, wbits=-15)
    block = bytes(1 << 20)
    bomb = b"".join(stream.compress(block) for _ in range(512)) + stream.flush(zlib.Z_SYNC_FLUSH)
    under = reader(deflate=True, takeover=takeover, limit=1 << 20)
    tracemalloc.start()
    events = under.feed(frame(bomb[:-4], rsv=4) + Deflater().frame(b"next"), 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert datas(events) == ["too_long", "after_loss" if takeover else b"next"]
    assert peak < 8 << 20


def test_many_fragments_are_within_the_limit() -> None:
    under = reader(limit=1 << 16)
    under.feed(frame(b"", fin=False), 1)
    tracemalloc.start()
    for at in range(20_000):
        under.feed(frame(b"", 0, fin=False), at)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 19
    assert datas(under.feed(frame(b"", 0), 1)) == ["too_long"]


def test_a_frame_of_absurd_length_is_not_kept() -> None:
    under = reader(limit=1 << 16)
    under.feed(b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), 1)
    tracemalloc.start()
    for at in range(200):
        under.feed(bytes(16384), at)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 17
    assert datas(under.close(2)) == ["too_long"]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 4095, 4096, 4097, 8192, 70_001])
def test_masks_of_every_size(size: int) -> None:
    data = os.urandom(size)
    assert unmask(frame(data, 2, mask=MASK)[-size:] if size else b"", MASK) == data


def test_a_control_frame_that_is_cut() -> None:
    under = reader()
    assert under.feed(frame(b"hello", 9)[:4], 1) == []
    assert told(under.close(2)) == [Skipped(0, 4, "cut")]
    assert isinstance(reader().feed(frame(b"", 9), 1)[0], Control)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_compressed_message_that_ends_inside_a_block_is_none(takeover: bool) -> None:
    deflater = Deflater(takeover)
    payload = deflater.payload(b"".join(b"%d and " % (n * 7919 % 1000) for n in range(200)))
    cut = frame(payload[: len(payload) // 2], rsv=4)
    found = reader(True, takeover=takeover)
    events = [*found.feed(cut, 0), *found.feed(deflater.frame(b"next"), 1)]
    assert datas(events) == ["inflate", "after_loss" if takeover else b"next"]
