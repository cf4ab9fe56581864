"""Frames: bytes <-> probe events, pure.

In: frames as the BPF programs write them (`bpf/frame.bpf.h`) and as the probe process adds
them (JSON payloads). Out: `probes.events`. A frame is

    u32 size (of the whole frame), u8 kind, u8 version, u16 flags, u64 ktime_ns, payload

in little-endian order. The same frames travel over the socket to the collector and into
recordings, so nothing downstream knows whether it is live.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from probes import action_frames
from probes.events import (
    ChannelEnd,
    ConnectionClosed,
    ConnectionKey,
    ConnectionOpened,
    ContentFingerprints,
    Counters,
    HalfJoined,
    LibraryMapped,
    LibrarySeen,
    PathKind,
    PlainData,
    ProbeEvent,
    ProbeState,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    ProcessPath,
    ProcessSeen,
    ProcessTraffic,
    SocketAddresses,
    Source,
    TlsHello,
    UnknownFrame,
)

VERSION = 2
HEADER = struct.Struct("<IBBHQ")
MAX_FRAME_BYTES = 1 << 20

PLAIN_DATA = 1
CONNECTION_OPENED = 2
CONNECTION_CLOSED = 3
PROCESS_FORKED = 4
PROCESS_EXECUTED = 5
PROCESS_PATH = 6
PROCESS_EXITED = 7
LIBRARY_MAPPED = 8
HALF_JOINED = 9
CHANNEL_END = 10
TLS_HELLO = 11
FILE_TOUCHED = 12
CONNECTED = 13
DNS_ANSWERED = 14
CREDENTIALS_CHANGED = 15
FILE_CONTENT = 16
PROCESS_SEEN = 32
LIBRARY_SEEN = 33
COUNTERS_FRAME = 34
PROBE_STATE = 35
PROCESS_TRAFFIC = 36
CONTENT_FINGERPRINTS = 37  # made by redaction, of FILE_CONTENT
CONTROL = 64

# Slots of the kernel's counter array: those of each source in turn (`enum source_counter`), then
# those of processes (`enum process_counter`) and of what they do (`enum action_counter`). A
# source's slot is named `SOURCE.COUNTER`.
SOURCE_COUNTERS = (
    "events",
    "bytes",
    "lost_events_ring_full",
    "lost_bytes_ring_full",
    "lost_events_read_fault",
    "lost_bytes_read_fault",
    "lost_bytes_call_too_long",
    "lost_bytes_connection_table_full",
    "ignored_bytes",
    "nested_calls",
)
PROCESS_COUNTERS = (
    "process_events",
    "process_lost_events_ring_full",
    "process_truncated_bytes",
    "process_lost_targets_table_full",
)
ACTION_COUNTERS = (
    "file.events",
    "file.lost_events_ring_full",
    "file.truncated_paths",
    "file.content_bytes",
    "file.lost_content_bytes_ring_full",
    "file.lost_content_bytes_read_fault",
    "file.unseen_content_bytes",
    "network.events",
    "network.lost_events_ring_full",
    "network.lost_events_read_fault",
    "privilege.events",
    "privilege.lost_events_ring_full",
)
COUNTERS = (
    *(f"{source.name.lower()}.{counter}" for source in Source for counter in SOURCE_COUNTERS),
    *PROCESS_COUNTERS,
    *ACTION_COUNTERS,
)

# Payload layouts, after the header.
PLAIN_DATA_HEAD = struct.Struct("<QQQQIIIBBH")
_ADDRESSES = struct.Struct("<HHI16s16s")  # ports, address family, addresses
_OPENED = struct.Struct("<QQQIIQiI16sQ40s")
_JOINED = struct.Struct("<QQQIIQi4x40s")
_CHANNEL_END = struct.Struct("<QQQIIiI16s")
_HELLO = struct.Struct("<QQQI4x40s")
CLOSED = struct.Struct("<QQQIIQQ")
_FORKED = struct.Struct("<QIIIIQ16s")
_EXECUTED = struct.Struct("<QIIIIQ16s")
_PATH = struct.Struct("<QIBBH")
_EXITED = struct.Struct("<QII")
_MAPPED = struct.Struct("<QIIQQQ")
_FINGERPRINTS = struct.Struct("<QQQQIIIIII4x")

_FROM = 0x8000  # in `blanked`: all from this offset on, rather than so many bytes at the beginning

PLAIN_DATA_OFFSET = HEADER.size + PLAIN_DATA_HEAD.size
ARGV_OFFSET = HEADER.size + _EXECUTED.size

_Decoder = Callable[[bytes, int], ProbeEvent]
_SOURCES = tuple(Source)
_TRANSPORTS = {1: "pipe", 2: "unix"}
_ADDRESS_BYTES = {2: 4, 10: 16}  # AF_INET, AF_INET6 as Linux numbers them


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _plain_data(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, handle, epoch, position, tgid, _tid, _call_size, direction, source, blanked = (
        PLAIN_DATA_HEAD.unpack_from(frame, HEADER.size)
    )
    key = ConnectionKey(tgid, start_ns, handle, epoch)
    if blanked:
        begin, end = _known(blanked, len(frame) - PLAIN_DATA_OFFSET)
        data = frame[PLAIN_DATA_OFFSET + begin : PLAIN_DATA_OFFSET + end]
        return PlainData(ktime_ns, key, direction & 1, position + begin, data, _SOURCES[source])
    return PlainData(
        ktime_ns, key, direction & 1, position, frame[PLAIN_DATA_OFFSET:], _SOURCES[source]
    )


def with_blank(frame: bytes, start: int, end: int) -> bytes:
    """A PLAIN_DATA frame whose data from `start` to `end` says nothing: overwritten, as secrets in
    it could not be told. Decoding passes it over like lost bytes.

    What lies behind is passed over, too, unless the blank begins the data.
    """
    if start > 0:
        blanked = _FROM | min(start, _FROM - 1)
    else:
        blanked = end if end < _FROM else _FROM
    at = PLAIN_DATA_OFFSET - 2
    return frame[:at] + blanked.to_bytes(2, "little") + frame[PLAIN_DATA_OFFSET:]


def _known(blanked: int, size: int) -> tuple[int, int]:
    """The part of a frame's data that is not blank."""
    if blanked & _FROM:
        return 0, min(blanked & ~_FROM, size)
    return min(blanked, size), size


def _addresses(packed: bytes) -> SocketAddresses | None:
    local_port, remote_port, family, local, remote = _ADDRESSES.unpack(packed)
    size = _ADDRESS_BYTES.get(family)
    if size is None:
        return None
    kind = socket.AF_INET if size == 4 else socket.AF_INET6
    ends = (socket.inet_ntop(kind, end[:size]) for end in (local, remote))
    return SocketAddresses(next(ends), local_port, next(ends), remote_port)


def _opened(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, handle, epoch, tgid, tid, cgroup_id, fd, source, comm, instruction, addresses = (
        _OPENED.unpack_from(frame, HEADER.size)
    )
    return ConnectionOpened(
        ktime_ns,
        ConnectionKey(tgid, start_ns, handle, epoch),
        tid,
        fd if fd >= 0 else None,
        cgroup_id,
        _text(comm),
        _SOURCES[source],
        instruction,
        _addresses(addresses),
    )


def _joined(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, handle, epoch, tgid, direction, inode, fd, addresses = _JOINED.unpack_from(
        frame, HEADER.size
    )
    key = ConnectionKey(tgid, start_ns, handle, epoch)
    return HalfJoined(ktime_ns, key, direction & 1, inode, fd, _addresses(addresses))


def _channel_end(frame: bytes, ktime_ns: int) -> ProbeEvent:
    handle, epoch, start_ns, pid, role, fd, transport, comm = _CHANNEL_END.unpack_from(
        frame, HEADER.size
    )
    key = ConnectionKey(0, 0, handle, epoch)
    return ChannelEnd(
        ktime_ns, key, role & 1, pid, start_ns, fd, _text(comm), _TRANSPORTS.get(transport)
    )


def _hello(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, handle, epoch, tgid, addresses = _HELLO.unpack_from(frame, HEADER.size)
    key = ConnectionKey(tgid, start_ns, handle, epoch)
    data = frame[HEADER.size + _HELLO.size :]
    return TlsHello(ktime_ns, key, _addresses(addresses), data)


def _closed(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, handle, epoch, tgid, _, read, written = CLOSED.unpack_from(frame, HEADER.size)
    return ConnectionClosed(ktime_ns, ConnectionKey(tgid, start_ns, handle, epoch), read, written)


def _forked(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, pid, ppid, uid, _, cgroup_id, comm = _FORKED.unpack_from(frame, HEADER.size)
    return ProcessForked(ktime_ns, pid, start_ns, ppid, uid, cgroup_id, _text(comm))


def _executed(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, pid, ppid, uid, argv_size, cgroup_id, comm = _EXECUTED.unpack_from(frame, HEADER.size)
    raw = frame[ARGV_OFFSET:]
    truncated = argv_size > len(raw)
    if raw.endswith(b"\0"):
        raw = raw[:-1]
    argv = tuple(part.decode("utf-8", "replace") for part in raw.split(b"\0")) if raw else ()
    return ProcessExecuted(
        ktime_ns, pid, start_ns, ppid, uid, cgroup_id, _text(comm), argv, truncated
    )


def _path(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, pid, which, truncated, names_size = _PATH.unpack_from(frame, HEADER.size)
    at = HEADER.size + _PATH.size
    names = frame[at : at + names_size].split(b"\0")[:-1]
    path = ("" if truncated else "/") + "/".join(
        name.decode("utf-8", "replace") for name in reversed(names)
    )
    kind = PathKind.WORKING_DIRECTORY if which else PathKind.EXECUTABLE
    return ProcessPath(ktime_ns, pid, start_ns, kind, path, bool(truncated))


def _exited(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, pid, code = _EXITED.unpack_from(frame, HEADER.size)
    signal = code & 0x7F
    return ProcessExited(
        ktime_ns, pid, start_ns, None if signal else code >> 8 & 0xFF, signal or None
    )


def _mapped(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, pid, _, address, device, inode = _MAPPED.unpack_from(frame, HEADER.size)
    return LibraryMapped(ktime_ns, pid, start_ns, address, device, inode)


def _payload(frame: bytes) -> dict[str, Any]:
    loaded = json.loads(frame[HEADER.size :])
    if not isinstance(loaded, dict):
        raise ValueError("payload is not an object")
    return loaded


def _process_seen(frame: bytes, ktime_ns: int) -> ProbeEvent:
    fields = _payload(frame)
    fields["argv"] = tuple(fields["argv"])
    return ProcessSeen(ktime_ns, **fields)


def _library_seen(frame: bytes, ktime_ns: int) -> ProbeEvent:
    fields = _payload(frame)
    fields["pids"] = tuple(fields["pids"])
    return LibrarySeen(ktime_ns, **fields)


def _counters(frame: bytes, ktime_ns: int) -> ProbeEvent:
    return Counters(ktime_ns, {str(name): int(n) for name, n in _payload(frame)["values"].items()})


def _probe_state(frame: bytes, ktime_ns: int) -> ProbeEvent:
    return ProbeState(ktime_ns, **_payload(frame))


def _process_traffic(frame: bytes, ktime_ns: int) -> ProbeEvent:
    return ProcessTraffic(ktime_ns, **_payload(frame))


def _fingerprints(frame: bytes, ktime_ns: int) -> ProbeEvent:
    start_ns, device, inode, skipped_bytes, pid, begins, skipped, size, open_size, joined_size = (
        _FINGERPRINTS.unpack_from(frame, HEADER.size)
    )
    found = struct.unpack_from(
        f"<{size + open_size + joined_size}Q", frame, HEADER.size + _FINGERPRINTS.size
    )
    return ContentFingerprints(
        ktime_ns,
        pid,
        start_ns,
        device,
        inode,
        found[:size],
        found[size : size + open_size],
        found[size + open_size :],
        bool(begins),
        skipped,
        skipped_bytes,
    )


_DECODERS: dict[int, _Decoder] = {
    PLAIN_DATA: _plain_data,
    CONNECTION_OPENED: _opened,
    CONNECTION_CLOSED: _closed,
    PROCESS_FORKED: _forked,
    PROCESS_EXECUTED: _executed,
    PROCESS_PATH: _path,
    PROCESS_EXITED: _exited,
    LIBRARY_MAPPED: _mapped,
    HALF_JOINED: _joined,
    CHANNEL_END: _channel_end,
    TLS_HELLO: _hello,
    FILE_TOUCHED: action_frames.touched,
    CONNECTED: action_frames.connected,
    DNS_ANSWERED: action_frames.dns_answered,
    CREDENTIALS_CHANGED: action_frames.credentials_changed,
    FILE_CONTENT: action_frames.file_content,
    PROCESS_SEEN: _process_seen,
    LIBRARY_SEEN: _library_seen,
    COUNTERS_FRAME: _counters,
    PROBE_STATE: _probe_state,
    PROCESS_TRAFFIC: _process_traffic,
    CONTENT_FINGERPRINTS: _fingerprints,
}
_KINDS: dict[type, int] = {
    ProcessSeen: PROCESS_SEEN,
    LibrarySeen: LIBRARY_SEEN,
    Counters: COUNTERS_FRAME,
    ProbeState: PROBE_STATE,
    ProcessTraffic: PROCESS_TRAFFIC,
}
OwnEvent = ProcessSeen | LibrarySeen | Counters | ProbeState | ProcessTraffic
"""Events that the probe process makes itself; their payload is JSON."""


def decode(frame: bytes) -> ProbeEvent:
    """The event in one whole frame; `UnknownFrame` for what cannot be understood."""
    size, kind, version, _, ktime_ns = HEADER.unpack_from(frame)
    decoder = _DECODERS.get(kind)
    if decoder is None or version != VERSION:
        return UnknownFrame(ktime_ns, kind, version, size)
    try:
        return decoder(frame, ktime_ns)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return UnknownFrame(ktime_ns, kind, version, size)


def encode(event: OwnEvent) -> bytes:
    """A frame for an event that the probe process makes itself."""
    fields = asdict(event)
    ktime_ns = fields.pop("ktime_ns")
    return json_frame(_KINDS[type(event)], ktime_ns, fields)


def control(operation: str, **arguments: object) -> bytes:
    """A control message from the collector to the probe process."""
    return json_frame(CONTROL, 0, {"operation": operation, **arguments})


def control_payload(frame: bytes) -> dict[str, Any]:
    """What `control` was given, with the operation under `operation`."""
    return _payload(frame)


def encode_closed(ktime_ns: int, key: ConnectionKey, read: int, written: int) -> bytes:
    """A ConnectionClosed frame, for connections that the kernel did not see freed."""
    tgid, start_ns, handle, epoch = key
    payload = CLOSED.pack(start_ns, handle, epoch, tgid, 0, read, written)
    size = HEADER.size + len(payload)
    return HEADER.pack(size, CONNECTION_CLOSED, VERSION, 0, ktime_ns) + payload


def encode_fingerprints(event: ContentFingerprints) -> bytes:
    """A frame that takes the place of a FILE_CONTENT frame."""
    found = (*event.fingerprints, *event.open, *event.joined)
    payload = _FINGERPRINTS.pack(
        event.start_ns,
        event.device,
        event.inode,
        event.skipped_bytes,
        event.pid,
        event.begins,
        min(event.skipped, 0xFFFFFFFF),
        len(event.fingerprints),
        len(event.open),
        len(event.joined),
    ) + struct.pack(f"<{len(found)}Q", *found)
    size = HEADER.size + len(payload)
    return HEADER.pack(size, CONTENT_FINGERPRINTS, VERSION, 0, event.ktime_ns) + payload


def without_payload(frame: bytes) -> bytes:
    """The head of a frame alone, as a frame; decodes as `UnknownFrame`."""
    _, kind, version, flags, ktime_ns = HEADER.unpack_from(frame)
    return HEADER.pack(HEADER.size, kind, version, flags, ktime_ns)


def json_frame(kind: int, ktime_ns: int, payload: dict[str, Any]) -> bytes:
    """A frame of a kind whose payload is a JSON object."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    return HEADER.pack(HEADER.size + len(body), kind, VERSION, 0, ktime_ns) + body


class FrameSplitter:
    """Cuts a byte stream into whole frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that has not arrived whole."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Whole frames, in order. Raises ValueError when the stream cannot be frames."""
        if self._rest:
            data = self._rest + data
        frames: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 4:
            size = int.from_bytes(data[at : at + 4], "little")
            if not HEADER.size <= size <= MAX_FRAME_BYTES:
                raise ValueError(f"a frame cannot have {size} bytes")
            if end - at < size:
                break
            frames.append(data[at : at + size])
            at += size
        self._rest = data[at:]
        return frames
