"""One direction of HTTP/2, read in any pieces, with holes, late, and as noise; `h2` speaks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http.events import Skipped
from collector.http.hpack_fields import MAX_TABLE_BYTES
from collector.http.http2 import Http2Reader
from collector.http.http2_blocks import MAX_BLOCK_BYTES
from collector.http.http2_events import Http2Event
from probes.events import Direction
from tests.collector.http.http2_traffic import (
    READ,
    WRITE,
    Said,
    Traffic,
    accounted_bytes,
    ends,
    frame_bounds,
    merged,
    reader,
    told,
    traffic,
)
from tests.collector.http.transcripts import pieces

seeds = st.integers(0, 39)
directions = st.sampled_from((READ, WRITE))


def read_all(target: Http2Reader, feeds: list[bytes]) -> list[Http2Event]:
    return [event for data in feeds for event in target.feed(data, 0)]


def expected(found: Traffic, direction: Direction) -> dict[int, Said]:
    return {stream: said for (way, stream), said in found.said.items() if way == direction}


@given(seeds, directions)
@settings(max_examples=60, deadline=None)
def test_what_h2_sends_is_read(seed: int, direction: Direction) -> None:
    found = traffic(seed)
    target = reader(requests=direction == WRITE)
    calls = [data for way, data in found.calls if way == direction]
    events = read_all(target, calls)
    assert told(events) == expected(found, direction)
    assert target.pending_bytes == 0
    assert target.close(1) == []
    assert not any(isinstance(event, Skipped) for event in events)
    assert accounted_bytes(events) + target.take_framing() == sum(map(len, calls))
    assert not target.late


@given(seeds, directions, st.lists(st.integers(1, 40_000), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_split_tells_the_same(seed: int, direction: Direction, cuts: list[int]) -> None:
    data = traffic(seed, 3).sent(direction)
    whole, split = reader(requests=direction == WRITE), reader(requests=direction == WRITE)
    events = whole.feed(data, 0)
    assert merged(read_all(split, pieces(data, cuts))) == merged(events)
    assert split.take_framing() == whole.take_framing()


@given(seeds, directions)
@settings(max_examples=10, deadline=None)
def test_byte_by_byte(seed: int, direction: Direction) -> None:
    data = traffic(seed, 2).sent(direction)
    whole, split = reader(requests=direction == WRITE), reader(requests=direction == WRITE)
    events: list[Http2Event] = []
    for at in range(len(data)):
        events += split.feed(data[at : at + 1], 0)
    assert merged(events) == merged(whole.feed(data, 0))


def check_nothing_is_joined(events: list[Http2Event], sent: dict[int, Said]) -> None:
    """Whatever is told of a stream is a part of what was said on it; whole only if it is whole."""
    for stream, said in told(events).items():
        assert stream in sent
        original = sent[stream]
        for head in said.heads:
            assert any(is_part(head, one) for one in original.heads)
        if said.complete:
            assert said.body == original.body
        elif said.body:
            assert len(said.body) <= len(original.body)


def is_part(fields: list[tuple[bytes, bytes]], of: list[tuple[bytes, bytes]]) -> bool:
    rest = iter(of)
    return all(field in rest for field in fields)


@given(seeds, directions, st.data())
@settings(max_examples=80, deadline=None)
def test_after_holes_nothing_is_joined(
    seed: int, direction: Direction, data: st.DataObject
) -> None:
    found = traffic(seed)
    stream = found.sent(direction)
    cuts = data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8))
    bounds = data.draw(st.sets(st.sampled_from(frame_bounds(stream)), max_size=3))
    target, events, fed, lost = reader(requests=direction == WRITE), [], 0, 0
    for piece in pieces(stream, cuts | bounds):
        if data.draw(st.integers(0, 3)) == 0:
            lost += len(piece)
            events += target.gap(len(piece), 0)
        else:
            fed += len(piece)
            events += target.feed(piece, 0)
    events += target.close(0)
    check_nothing_is_joined(events, expected(found, direction))
    assert accounted_bytes(events) + target.take_framing() == fed
    assert target.pending_bytes == 0
    assert sum(end.lost_bytes for end in ends(events).values()) <= lost


def streams_begun(data: bytes, bound: int) -> set[int]:
    """Streams of which a HEADERS frame stands before `bound`."""
    begun = set()
    for at in frame_bounds(data)[:-1]:
        if at < bound and data[at + 3] == 1:
            begun.add(int.from_bytes(data[at + 5 : at + 9], "big"))
    return begun


@pytest.mark.parametrize("direction", [READ, WRITE])
@pytest.mark.parametrize("seed", range(12))
def test_a_late_join_at_every_frame(direction: Direction, seed: int) -> None:
    """From the next head on every message is whole, but for fields of the table's lost part."""
    found = traffic(seed, 8)
    stream, sent = found.sent(direction), expected(found, direction)
    for bound in frame_bounds(stream)[1:-1]:
        target = reader(requests=direction == WRITE)
        events = target.feed(stream[bound:], 0) + target.close(0)
        check_nothing_is_joined(events, sent)
        assert accounted_bytes(events) + target.take_framing() == len(stream) - bound
        before = streams_begun(stream, bound)
        heads = told(events)
        for number, said in sent.items():
            if number not in before and number in heads:
                assert heads[number].complete
                assert heads[number].body == said.body
                if len(said.heads) == 1:  # of two, the first may have been taken for final
                    assert heads[number].trailers is None or said.trailers is not None
        for number in sent.keys() - before - heads.keys():
            # A head alone that may as well be trailers: its status stands in the lost table.
            assert direction == READ
            assert not sent[number].body
            assert dict(sent[number].heads[-1])[b":status"] in (b"429", b"529")


@given(seeds, directions, st.lists(st.tuples(st.integers(0), st.integers(0, 255))), st.data())
@settings(max_examples=80, deadline=None)
def test_mutated_bytes_never_raise(
    seed: int,
    direction: Direction,
    changes: list[tuple[int, int]],
    data: st.DataObject,
) -> None:
    changed = bytearray(traffic(seed, 3).sent(direction))
    for place, value in changes:
        changed[place % len(changed)] = value
    cuts = data.draw(st.sets(st.integers(1, len(changed)), max_size=8))
    target = reader(requests=direction == WRITE)
    events = read_all(target, pieces(bytes(changed), cuts))
    assert target._blocks.wire_bytes <= 2 * MAX_BLOCK_BYTES
    assert target._blocks._hpack.table_bytes <= MAX_TABLE_BYTES
    events += target.close(0)
    assert accounted_bytes(events) + target.take_framing() == len(changed)


@given(st.lists(st.binary(max_size=200)), st.booleans(), st.lists(st.integers(0, 3)))
@settings(max_examples=60)
def test_any_bytes_are_accounted_for(feeds: list[bytes], requests: bool, holes: list[int]) -> None:
    target, events = reader(requests=requests), []
    for number, data in enumerate(feeds):
        events += target.feed(data, 0)
        if number in holes:
            events += target.gap(7, 0)
    events += target.close(0)
    assert accounted_bytes(events) + target.take_framing() == sum(map(len, feeds))
    assert target.feed(b"more", 0) == [Skipped(0, 4, "closed")]
