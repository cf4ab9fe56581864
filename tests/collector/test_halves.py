from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector import halves
from collector.halves import HalfJoiner
from collector.streams import StreamAssembler, StreamChunk, StreamEnd, StreamGap, StreamItem
from probes.events import (
    ConnectionClosed,
    ConnectionKey,
    Direction,
    HalfJoined,
    PlainData,
    SocketAddresses,
    Source,
)

READ, WRITE = Direction.READ, Direction.WRITE
SENDS = ConnectionKey(7, 100, 0xA0, 1)
RECEIVES = ConnectionKey(7, 100, 0xB0, 2)
OTHER_SENDS = ConnectionKey(7, 100, 0xC0, 3)
OTHER_RECEIVES = ConnectionKey(7, 100, 0xD0, 4)
ENDS = SocketAddresses("127.0.0.1", 40000, "127.0.0.1", 443)


class Halves:
    """A process whose records are hooked, as a transcript: what passed, and what was counted."""

    def __init__(self) -> None:
        self.streams = StreamAssembler()
        self.undecoded: dict[str, int] = {}
        self.joiner = HalfJoiner(self._count)
        self.positions: dict[ConnectionKey, list[int]] = {}
        self.items: list[StreamItem] = []
        self.at = 0

    def _count(self, reason: str, length: int) -> None:
        self.undecoded[reason] = self.undecoded.get(reason, 0) + length

    def _tick(self) -> int:
        self.at += 1
        return self.at

    def loses(self, half: ConnectionKey, direction: Direction, length: int) -> Halves:
        self.positions.setdefault(half, [0, 0])[direction] += length
        return self

    def data(self, half: ConnectionKey, direction: Direction, data: bytes) -> Halves:
        positions = self.positions.setdefault(half, [0, 0])
        event = PlainData(self._tick(), half, direction, positions[direction], data, Source.RUSTLS)
        positions[direction] += len(data)
        self.items += self.joiner.take(self.streams.data(event))
        return self

    def sends(self, data: bytes, half: ConnectionKey = SENDS) -> Halves:
        return self.data(half, WRITE, data)

    def receives(self, data: bytes, half: ConnectionKey = RECEIVES) -> Halves:
        return self.data(half, READ, data)

    def joins(self, half: ConnectionKey, direction: Direction, inode: int = 55) -> Halves:
        event = HalfJoined(self._tick(), half, direction, inode, 9, ENDS)
        self.items += self.joiner.joined(event)
        return self

    def closes(self, half: ConnectionKey) -> Halves:
        positions = self.positions.get(half, [0, 0])
        event = ConnectionClosed(self._tick(), half, *positions)
        self.items += self.joiner.take(self.streams.closed(event))
        return self

    @property
    def lines(self) -> list[str]:
        """What passed, as `socket.epoch > data`, `< data`, `> gap N` or `end`."""
        result = []
        for item in self.items:
            name = f"{item.connection.handle}.{item.connection.epoch}"
            if isinstance(item, StreamEnd):
                result.append(f"{name} end")
                continue
            way = ">" if item.direction == WRITE else "<"
            what = item.data.decode() if isinstance(item, StreamChunk) else f"gap {item.length}"
            result.append(f"{name} {way} {what}")
        return result

    @property
    def passed_bytes(self) -> int:
        return sum(len(item.data) for item in self.items if isinstance(item, StreamChunk))


def test_two_halves_make_a_connection() -> None:
    seen = Halves().sends(b"ask").joins(SENDS, WRITE).joins(RECEIVES, READ).receives(b"answer")
    assert seen.lines == ["55.1 > ask", "55.1 < answer"]
    (key,) = {item.connection for item in seen.items}
    assert key == ConnectionKey(7, 100, 55, 1)
    assert seen.joiner.halves_of(key) == (SENDS, RECEIVES)
    assert seen.joiner.addresses(key) == ENDS
    seen.closes(SENDS)
    assert seen.lines[2:] == []
    seen.closes(RECEIVES)
    assert seen.lines[2:] == ["55.1 end"]
    assert seen.undecoded == {}
    assert seen.joiner.held_bytes == 0
    assert not seen.joiner._processes


def test_a_half_is_held_until_its_socket_is_known() -> None:
    seen = Halves().sends(b"a").sends(b"b")
    assert seen.lines == []
    assert seen.joins(SENDS, WRITE).lines == ["55.1 > a", "55.1 > b"]


def test_an_answer_does_not_overtake_a_request_that_is_held() -> None:
    seen = Halves().sends(b"ask").joins(RECEIVES, READ).receives(b"answer")
    assert seen.lines == []
    seen.joins(SENDS, WRITE)
    assert seen.lines == ["55.2 > ask", "55.2 < answer"]
    assert seen.receives(b"more").lines[2:] == ["55.2 < more"]


def test_a_held_answer_is_not_overtaken_by_the_next_request() -> None:
    seen = Halves().sends(b"one").joins(SENDS, WRITE).receives(b"1").sends(b"two").receives(b"2")
    assert seen.lines == ["55.1 > one"]
    assert seen.joins(RECEIVES, READ).lines[1:] == ["55.1 < 1", "55.1 > two", "55.1 < 2"]


def test_a_stranger_without_a_socket_holds_nobody_up_for_long() -> None:
    seen = Halves().sends(b"stranger", OTHER_SENDS).joins(RECEIVES, READ).receives(b"answer")
    assert seen.lines == []  # the stranger may be the request
    seen.closes(OTHER_SENDS)
    assert seen.lines == ["55.2 < answer"]
    assert seen.undecoded == {halves.UNDECODED: len(b"stranger")}


def test_a_connection_that_has_both_halves_waits_for_nobody() -> None:
    seen = Halves().joins(SENDS, WRITE).joins(RECEIVES, READ).sends(b"stranger", OTHER_SENDS)
    seen.sends(b"ask").receives(b"answer")
    assert seen.lines == ["55.1 > ask", "55.1 < answer"]


def test_processes_do_not_wait_for_each_other() -> None:
    elsewhere = SENDS._replace(tgid=8)
    seen = Halves().sends(b"x", elsewhere).joins(RECEIVES, READ).receives(b"answer")
    assert seen.lines == ["55.2 < answer"]


def test_connections_of_one_process_are_kept_apart() -> None:
    seen = Halves().sends(b"a").sends(b"b", OTHER_SENDS)
    seen.joins(OTHER_SENDS, WRITE, 66).joins(SENDS, WRITE, 55)
    seen.joins(RECEIVES, READ, 55).joins(OTHER_RECEIVES, READ, 66)
    seen.receives(b"B", OTHER_RECEIVES).receives(b"A")
    assert sorted(seen.lines[:2]) == ["55.1 > a", "66.3 > b"]
    assert seen.lines[2:] == ["66.3 < B", "55.1 < A"]


# Ends and losses


def test_a_half_that_is_never_joined_is_counted() -> None:
    seen = Halves().sends(b"12345").loses(SENDS, WRITE, 3).sends(b"67").closes(SENDS)
    assert seen.lines == []
    assert seen.undecoded == {halves.UNDECODED: 7}
    assert (seen.streams.delivered_bytes, seen.streams.gap_bytes) == (7, 3)
    assert seen.joiner.held_bytes == 0
    assert not seen.joiner._processes


def test_gaps_stay_proven_in_the_middle_and_at_the_tail() -> None:
    seen = Halves().sends(b"ask").loses(SENDS, WRITE, 5).sends(b"rest").joins(SENDS, WRITE)
    seen.joins(RECEIVES, READ).receives(b"answer").loses(RECEIVES, READ, 9)
    seen.closes(RECEIVES).loses(SENDS, WRITE, 2).closes(SENDS)
    assert seen.lines == [
        "55.1 > ask", "55.1 > gap 5", "55.1 > rest", "55.1 < answer",
        "55.1 < gap 9", "55.1 > gap 2", "55.1 end",
    ]  # fmt: skip


def test_a_half_beyond_its_bound_is_counted_and_leaves_a_gap() -> None:
    piece = b"x" * 16384
    count = 2 * halves.HALF_BYTES // len(piece)
    seen = Halves()
    for _ in range(count):
        seen.sends(piece)
        assert seen.joiner.held_bytes <= halves.HALF_BYTES
    undecoded = seen.undecoded[halves.UNDECODED]
    assert undecoded >= halves.HALF_BYTES
    seen.joins(SENDS, WRITE).sends(b"later")
    assert seen.passed_bytes + undecoded == count * len(piece) + 5
    assert seen.lines[-2:] == [f"55.1 > gap {undecoded}", "55.1 > later"]
    assert seen.joiner.held_bytes == 0


def test_all_that_is_held_is_bounded() -> None:
    seen = Halves()
    for number in range(64):
        for _ in range(40):
            seen.sends(b"x" * 16384, SENDS._replace(handle=number))
    assert seen.joiner.held_bytes <= halves.ALL_BYTES
    assert seen.undecoded[halves.UNDECODED] >= 64 * 40 * 16384 - halves.ALL_BYTES


def test_a_socket_that_waits_too_long_goes_on() -> None:
    seen = Halves().sends(b"stranger", OTHER_SENDS).joins(RECEIVES, READ)
    for _ in range(halves.HALF_BYTES // 16384):
        seen.receives(b"y" * 16384)
    assert seen.passed_bytes == halves.HALF_BYTES
    assert seen.undecoded == {}


# Keys and sockets that change


def test_a_key_update_continues_the_direction() -> None:
    renewed = SENDS._replace(handle=0xA8, epoch=9)
    seen = Halves().sends(b"ask").joins(SENDS, WRITE).joins(RECEIVES, READ).receives(b"answer")
    seen.closes(SENDS).sends(b"again", renewed).receives(b"?")
    assert seen.lines[2:] == []  # what was sent under the new key is not known to come first
    seen.joins(renewed, WRITE)
    assert seen.lines[2:] == ["55.1 > again", "55.1 < ?"]
    seen.closes(RECEIVES).closes(renewed)
    assert seen.lines[4:] == ["55.1 end"]


def test_a_new_key_may_come_before_the_old_one_is_gone() -> None:
    renewed = RECEIVES._replace(handle=0xB8, epoch=9)
    seen = Halves().sends(b"ask").joins(SENDS, WRITE).joins(RECEIVES, READ).receives(b"an")
    seen.joins(renewed, READ).receives(b"swer", renewed).closes(RECEIVES).receives(b".", renewed)
    assert seen.lines == ["55.1 > ask", "55.1 < an", "55.1 < swer", "55.1 < ."]


def test_an_inode_may_be_used_again() -> None:
    seen = Halves().sends(b"a").joins(SENDS, WRITE).closes(SENDS)
    later = SENDS._replace(epoch=8)
    seen.sends(b"b", later).joins(later, WRITE)
    assert seen.lines == ["55.1 > a", "55.1 end", "55.8 > b"]


def test_a_half_that_turns_up_on_another_socket_moves_there() -> None:
    seen = Halves().sends(b"a").joins(SENDS, WRITE, 55).joins(SENDS, WRITE, 66).sends(b"b")
    assert seen.lines == ["55.1 > a", "55.1 end", "66.1 > b"]
    assert seen.joins(SENDS, WRITE, 66).lines[3:] == []


_STEPS = st.sampled_from(
    [
        *(("data", half) for half in (SENDS, RECEIVES, OTHER_SENDS, OTHER_RECEIVES)),
        *(("join", half) for half in (SENDS, RECEIVES, OTHER_SENDS, OTHER_RECEIVES)),
        *(("lose", half) for half in (SENDS, RECEIVES)),
        *(("close", half) for half in (SENDS, RECEIVES, OTHER_SENDS)),
    ]
)


@given(st.lists(_STEPS, max_size=40))
def test_every_byte_passes_in_order_or_is_counted(steps: list[tuple[str, ConnectionKey]]) -> None:
    seen = Halves()
    epochs = {half: half.epoch for half in (SENDS, RECEIVES, OTHER_SENDS, OTHER_RECEIVES)}
    sent = lost = 0
    for number, (step, half) in enumerate(steps):
        key = half._replace(epoch=epochs[half])
        direction = WRITE if half in (SENDS, OTHER_SENDS) else READ
        if step == "data":
            seen.data(key, direction, b"%03d" % number)
            sent += 3
        elif step == "lose":
            seen.loses(key, direction, 2)
            lost += 2
        elif step == "join":
            seen.joins(key, direction, 66 if half in (OTHER_SENDS, OTHER_RECEIVES) else 55)
        else:
            seen.closes(key)
            epochs[half] += 10
    for half, epoch in epochs.items():
        seen.closes(half._replace(epoch=epoch))
    assert seen.joiner.held_bytes == 0
    assert not seen.joiner._processes
    assert seen.streams.delivered_bytes == sent
    assert seen.streams.gap_bytes == lost
    assert seen.passed_bytes + sum(seen.undecoded.values()) == sent
    assert sum(item.length for item in seen.items if isinstance(item, StreamGap)) <= lost
    ended: set[ConnectionKey] = set()
    for item in seen.items:
        assert item.connection not in ended
        if isinstance(item, StreamEnd):
            ended.add(item.connection)
    for direction in Direction:
        for inode in (55, 66):
            words = [
                item.data
                for item in seen.items
                if isinstance(item, StreamChunk)
                and (item.direction, item.connection.handle) == (direction, inode)
            ]
            assert words == sorted(words)
