"""JSON-RPC between processes: channels and what is said on them, turned into rows.

In: the data, ends and closes of channels (pipes and pairs of Unix sockets). Out: `RpcChannelRow`,
`RpcMessageRow` and `ContentRow`. A channel is one direction. The two directions of an MCP server
are two channels between the same two processes, which is how a response finds its request: by
that pair and the id. Ends become known before, between or after the data; what more than one
process did is nobody's. A channel that does not speak JSON-RPC is left to the kernel to ignore.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace

from collector.capture_info import CaptureInfo
from collector.content_sightings import ContentSightings
from collector.conversations import digest
from collector.json_rpc import JsonRpcReader
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.rows import Batch, RpcChannelRow, RpcMessageRow
from collector.rpc_about import About
from collector.rpc_messages import RpcMessage
from collector.rpc_pairs import Pair, Process, role_of_sender
from collector.rpc_rows import RpcRows
from collector.streams import StreamAssembler, StreamGap
from probes.events import ChannelEnd, ConnectionClosed, ConnectionKey, Direction, PlainData

UNPAIRED_MESSAGES = 1000  # of a channel whose ends are not known yet
PAIRS = 1000
CHANNELS_OF_A_PAIR = 8
FACTS_OF_A_CHANNEL = 16
CLOSED_CHANNELS = 256  # whose ends may still become known


def is_channel(key: ConnectionKey) -> bool:
    """Whether this is the key of a channel, which belongs to no process."""
    return key.tgid == 0 and key.start_ns == 0


class _Channel:
    """One direction: its decoder, and the row as far as it is known."""

    __slots__ = ("between", "ends", "key", "pair", "reader", "row", "said", "unpaired")

    def __init__(self, key: ConnectionKey, row: RpcChannelRow) -> None:
        self.key = key
        self.row = row
        self.reader = JsonRpcReader()
        self.ends: tuple[set[Process], set[Process]] = (set(), set())  # by role
        self.pair: _Pair | None = None
        self.said: list[About] = []  # of the two that speak, each fact once
        self.between: tuple[Process, Process] | None = None  # writer and reader, once it has a pair
        self.unpaired: deque[tuple[RpcMessageRow, str | None]] = deque(maxlen=UNPAIRED_MESSAGES)

    def end(self, role: Direction) -> Process | None:
        """The one process that reads or writes."""
        processes = self.ends[role]
        return next(iter(processes)) if len(processes) == 1 else None


class _Pair(Pair):
    """The channels between two processes."""

    def __init__(self) -> None:
        super().__init__()
        self.client: Process | None = None  # as far as a method has told
        self.channels: deque[_Channel] = deque(maxlen=CHANNELS_OF_A_PAIR)


class ChannelTracker:
    """Every channel of one capture. `ignore` is told which carry something else."""

    def __init__(
        self,
        info: CaptureInfo,
        processes: ProcessTable,
        streams: StreamAssembler,
        redact: TextRedactor,
        *,
        content: bool,
        ignore: Callable[[ConnectionKey], None] | None,
        sightings: ContentSightings | None = None,
    ) -> None:
        self._info = info
        self._processes = processes
        self._streams = streams
        self._rows = RpcRows(info, redact, content=content)
        self._ignore = ignore
        self._sightings = sightings
        self._open: dict[ConnectionKey, _Channel] = {}
        self._closed: OrderedDict[ConnectionKey, _Channel] = OrderedDict()
        self._pairs: OrderedDict[frozenset[Process], _Pair] = OrderedDict()
        self._counts: Counter[tuple[str, str, str]] = Counter()  # of closed channels

    def take(self, batch: Batch) -> None:
        """Add the rows that are new or changed."""
        self._rows.take(batch)

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Health counters: (source, counter, cause) -> value."""
        total = Counter(self._counts)
        for channel in self._open.values():
            total.update(_counts_of(channel.reader))
        return dict(total)

    def data(self, event: PlainData) -> None:
        """Bytes that were written to a channel."""
        channel = self._channel(event.connection)
        reader = channel.reader
        before = reader.verdict
        for item in self._streams.data(event):
            if isinstance(item, StreamGap):
                reader.gap(item.length)
            else:
                self._messages(channel, reader.feed(item.data, item.ktime_ns))
        if reader.verdict is False and before is None:
            self._streams.unwant(channel.key)
            self._counts["channel", "channels_ignored", "not_json_rpc"] += 1
            if self._ignore is not None:
                self._ignore(channel.key)

    def end(self, event: ChannelEnd) -> None:
        """A process reads or writes: with both known, the channel has its pair."""
        key, role = event.connection, Direction(event.role)
        channel = self._closed.get(key) or self._channel(key)
        process = Process(event.pid, event.start_ns)
        if process in channel.ends[role]:
            return
        channel.ends[role].add(process)
        pid: int | None = event.pid
        process_key: str | None = self._processes.key(*process)
        started_ns: int | None = event.start_ns + self._info.boottime_offset_ns
        comm: str | None = event.comm
        if channel.end(role) is None:
            pid = process_key = started_ns = comm = None
        row = replace(channel.row, transport=event.transport or channel.row.transport)
        if role is Direction.WRITE:
            row = replace(
                row, writer_pid=pid, writer_process=process_key,
                writer_started_ns=started_ns, writer_comm=comm,
            )  # fmt: skip
        else:
            row = replace(
                row, reader_pid=pid, reader_process=process_key,
                reader_started_ns=started_ns, reader_comm=comm,
            )  # fmt: skip
        self._set(channel, row)
        if channel.pair is None:
            self._join(channel)

    def closed(self, event: ConnectionClosed) -> None:
        """Nothing more is written."""
        items = list(self._streams.closed(event))
        channel = self._open.pop(event.connection, None)
        if channel is None:
            return
        for item in items:
            if isinstance(item, StreamGap):
                channel.reader.gap(item.length)
        self._finish(channel, event.ktime_ns)
        self._closed[channel.key] = channel
        if len(self._closed) > CLOSED_CHANNELS:
            self._closed.popitem(last=False)

    def finish(self, ktime_ns: int) -> None:
        """End of the capture: requests without an answer stay so."""
        for channel in self._open.values():
            self._finish(channel, ktime_ns)
        self._open = {}

    def _finish(self, channel: _Channel, ktime_ns: int) -> None:
        self._messages(channel, channel.reader.close(ktime_ns))
        self._counts.update(_counts_of(channel.reader))

    def _channel(self, key: ConnectionKey) -> _Channel:
        channel = self._open.get(key)
        if channel is None:
            named = f"{self._info.capture_id}:{key.handle}:{key.epoch}"
            channel_id = "k" + digest(named.encode())[:16]
            nobody = (None,) * 4
            row = RpcChannelRow(
                channel_id, self._info.capture_id, key.handle, None, *nobody, *nobody, None
            )
            channel = self._open[key] = _Channel(key, row)
        return channel

    def _set(self, channel: _Channel, row: RpcChannelRow) -> None:
        """Only what speaks JSON-RPC has a row."""
        channel.row = row
        if channel.reader.messages:
            self._rows.channel(row)

    # Messages

    def _messages(self, channel: _Channel, messages: list[RpcMessage]) -> None:
        if messages and channel.reader.messages == len(messages):
            self._set(channel, channel.row)
        for message in messages:
            place = f"{channel.row.channel_id}:{message.position}:{message.batch_index}"
            row = self._rows.message(channel.row.channel_id, place, message)
            if self._sightings is not None:
                writer = channel.end(Direction.WRITE)
                self._sightings.rpc(channel.row.channel_id, writer, message)
            if channel.row.sender is None:
                sender = role_of_sender(row.method)
                if sender is not None:
                    self._learn(channel, sender)
            if message.about.tells_who:
                self._tell(channel, message.about)
            cancels = message.about.cancels
            if channel.pair is None or channel.between is None:
                channel.unpaired.append((row, cancels))
            else:
                self._pair(channel.pair, row, *channel.between, cancels)

    # Pairs

    def _join(self, channel: _Channel) -> None:
        """With both of its ends known, a channel belongs to a pair of processes."""
        writer, reader = channel.end(Direction.WRITE), channel.end(Direction.READ)
        if writer is None or reader is None:
            return
        ends = frozenset((writer, reader))
        pair = self._pairs.get(ends)
        if pair is None:
            pair = self._pairs[ends] = _Pair()
            if len(self._pairs) > PAIRS:
                self._pairs.popitem(last=False)
        self._pairs.move_to_end(ends)
        channel.pair, channel.between = pair, (writer, reader)
        pair.channels.append(channel)
        if channel.row.sender is not None:
            self._learn(channel, channel.row.sender)
        elif pair.client is not None:
            self._set(channel, replace(channel.row, sender=_role(writer, pair.client)))
        facts = [fact for each in pair.channels for fact in each.said]
        for each in pair.channels:
            for fact in facts:
                self._told(each, fact)
        for row, cancels in channel.unpaired:
            self._pair(pair, row, writer, reader, cancels)
        channel.unpaired.clear()

    def _pair(
        self,
        pair: _Pair,
        row: RpcMessageRow,
        writer: Process,
        reader: Process,
        cancels: str | None,
    ) -> None:
        changed = pair.message(row, writer, reader, cancels)
        if changed is not None:
            self._rows.put(changed)

    def _tell(self, channel: _Channel, about: About) -> None:
        """A message says who speaks, which holds for both directions."""
        fact = about.of_channel()
        if fact in channel.said:
            return
        if len(channel.said) < FACTS_OF_A_CHANNEL:
            channel.said.append(fact)
        for each in channel.pair.channels if channel.pair else (channel,):
            self._told(each, fact)

    def _told(self, channel: _Channel, fact: About) -> None:
        row = self._rows.told(channel.row, fact)
        if row is not channel.row:
            self._set(channel, row)

    def _learn(self, channel: _Channel, sender: str) -> None:
        """Who writes to this channel is known, and so it is for the others of the pair."""
        self._set(channel, replace(channel.row, sender=sender))
        if channel.pair is None or channel.between is None:
            return
        writer, reader = channel.between
        if writer == reader:
            return
        client = channel.pair.client = writer if sender == "client" else reader
        for other in channel.pair.channels:
            if other.row.sender is None and other.between is not None:
                self._set(other, replace(other.row, sender=_role(other.between[0], client)))


def _role(writer: Process, client: Process) -> str:
    return "client" if writer == client else "server"


def _counts_of(reader: JsonRpcReader) -> dict[tuple[str, str, str], int]:
    counts = {
        ("channel", "messages", ""): reader.messages,
        ("channel", "truncated_messages", "too_long"): reader.truncated_messages,
    }
    for cause, size in reader.skipped_bytes.items():
        counts["channel", "skipped_bytes", cause] = size
    return counts
