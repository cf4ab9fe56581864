"""The kernel's tables of connections and endpoints: final positions, and what the dead left.

In: their maps. Out: frames with final positions. Most entries go when a connection is closed; a
process that ends without closing leaves its own, which are swept from here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from ctypes import c_uint8, c_uint32, c_uint64
from pathlib import Path

from probes import frames, maps
from probes.events import ConnectionKey, ProcessTraffic
from probes.programs import Programs


class KernelTables:
    """Reads and cleans the tables that the BPF programs share with user space."""

    def __init__(self, programs: Programs) -> None:
        key = maps.ConnectionMapKey
        self._connections = programs.table("connections", key, maps.Connection)
        self._ignored = programs.table("ignored", key, c_uint64)
        self._endpoints = programs.table("endpoints", key, maps.Endpoint)
        self._stacks = programs.table("stacks", maps.StackKey, c_uint64 * 0)
        self._settled = programs.table("settled_sockets", c_uint64, maps.Settled)
        self._sensitive = programs.table("sensitive_files", maps.ContentKey, c_uint8)
        self._traffic = programs.table("tls_traffic", c_uint32, maps.Traffic)
        per_processor = c_uint64 * _processors()
        self._counters = programs.table("counters", c_uint32, per_processor)

    def sizes(self) -> dict[str, int]:
        """Entries by table; all are zero when nothing is in scope any more."""
        return {
            name: sum(1 for _ in table)
            for name, table in (
                ("connections", self._connections),
                ("ignored", self._ignored),
                ("endpoints", self._endpoints),
                ("stacks", self._stacks),
                ("settled_sockets", self._settled),
                ("tls_traffic", self._traffic),
                ("sensitive_files", self._sensitive),
            )
        }

    def ignore(self, key: ConnectionKey) -> None:
        """Stop copying a connection's bytes; they are counted as ignored."""
        table_key = maps.ConnectionMapKey(key.start_ns, key.handle, key.tgid, 0)
        try:
            connection = self._connections[table_key]
        except KeyError:
            return
        if connection.epoch == key.epoch:
            self._ignored[table_key] = c_uint64(key.epoch)

    def sweep(self, dead: set[int]) -> list[bytes]:
        """Frames with the final positions of dead processes' connections, now forgotten."""
        for key, endpoint in list(self._endpoints.items()):
            if key.tgid in dead or (not key.tgid and endpoint.toucher in dead):
                self._endpoints.discard(key)
                if not key.tgid:
                    dead = dead | {0}
        closed = []
        now = time.monotonic_ns()
        for key, connection in list(self._connections.items()):
            if key.tgid in dead and (key.tgid or key not in self._endpoints):
                closed.append(_closed(now, key, connection))
                self._connections.discard(key)
                self._ignored.discard(key)
        for owner in self._stacks:
            pid = owner.owner if owner.goroutine else owner.owner >> 32
            if pid in dead:
                self._stacks.discard(owner)
        for slot in self._settled:
            if slot.value >> 32 in dead:
                self._settled.discard(slot)
        for file in self._sensitive:
            if file.tgid in dead:
                self._sensitive.discard(file)
        for pid in dead:
            self._traffic.discard(c_uint32(pid))
        return closed

    def open_connections(self) -> list[bytes]:
        """Frames with the final positions of every connection, for the end of a capture."""
        now = time.monotonic_ns()
        return [_closed(now, key, value) for key, value in self._connections.items()]

    def traffic(self) -> Iterator[tuple[ProcessTraffic, int]]:
        """TLS records and plaintext bytes by process, since its first record."""
        now = time.monotonic_ns()
        for pid, value in self._traffic.items():
            seen = ProcessTraffic(
                now, pid.value, value.start_ns, value.records[0], value.records[1]
            )
            yield seen, value.plaintext

    def counters(self) -> dict[str, int]:
        """Kernel counters summed over processors, by `frames.COUNTERS` name."""
        return {
            name: sum(self._counters[c_uint32(slot)]) for slot, name in enumerate(frames.COUNTERS)
        }


def _closed(now: int, key: maps.ConnectionMapKey, value: maps.Connection) -> bytes:
    name = ConnectionKey(key.tgid, key.start_ns, key.handle, value.epoch)
    return frames.encode_closed(now, name, value.position[0], value.position[1])


def _processors() -> int:
    """How many values a per-processor map holds for a key: all that could ever be plugged in."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition(",")[2]
    return int(last.rpartition("-")[2]) + 1
