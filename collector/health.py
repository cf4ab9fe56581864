"""Health: what was captured, what was lost and why, as counters.

In: the kernel's counters and those of each stage. Out: `HealthRow`s. For each source (a TLS stack,
plain sockets, channels) captured + lost + truncated + ignored bytes equal what the programs sent
and received through it. Of `file`, `network` and `privilege`, captured + lost events equal the
calls that processes made. A source that was never used has no rows; `process` always has. Each
counter and cause is described in docs/tables.md.
"""

from __future__ import annotations

from collector.exchange import HttpCounters
from collector.rows import HealthRow
from collector.streams import StreamAssembler

# Counters of probes.frames.SOURCE_COUNTERS and ACTION_COUNTERS -> (counter, cause)
_OF_A_SOURCE = {
    "events": ("captured_events", ""),
    "bytes": ("captured_bytes", ""),
    "lost_events_ring_full": ("lost_events", "ring_full"),
    "lost_bytes_ring_full": ("lost_bytes", "ring_full"),
    "lost_events_read_fault": ("lost_events", "read_fault"),
    "lost_bytes_read_fault": ("lost_bytes", "read_fault"),
    "lost_bytes_call_too_long": ("truncated_bytes", "call_too_long"),
    "lost_bytes_connection_table_full": ("lost_bytes", "connection_table_full"),
    "ignored_bytes": ("ignored_bytes", "not_llm"),
    "nested_calls": ("lost_events", "nested_too_deep"),
    "truncated_paths": ("truncated_paths", ""),
    "content_bytes": ("captured_content_bytes", ""),
    "lost_content_bytes_ring_full": ("lost_content_bytes", "ring_full"),
    "lost_content_bytes_read_fault": ("lost_content_bytes", "read_fault"),
    "unseen_content_bytes": ("unseen_content_bytes", ""),
}
# probes.frames.PROCESS_COUNTERS -> (source, counter, cause)
_OF_PROCESSES = {
    "process_events": ("process", "captured_events", ""),
    "process_lost_events_ring_full": ("process", "lost_events", "ring_full"),
    "process_truncated_bytes": ("process", "truncated_bytes", "argv_too_long"),
    "process_lost_targets_table_full": ("process", "lost_events", "targets_table_full"),
}
_ALWAYS_SHOWN = frozenset({"captured_events", "captured_bytes", "lost_events", "lost_bytes"})

Key = tuple[str, str, str]


def kernel_key(name: str) -> Key | None:
    """(source, counter, cause) of a kernel counter (`probes.frames.COUNTERS`), if it is known."""
    source, dot, counter = name.partition(".")
    if not dot:
        return _OF_PROCESSES.get(name)
    known = _OF_A_SOURCE.get(counter)
    return (source, *known) if known else None


def health_rows(
    capture_id: str,
    kernel: dict[str, int],
    streams: StreamAssembler,
    http: HttpCounters,
    own: dict[Key, int],
) -> list[HealthRow]:
    """The counters as they stand; zeros only where zero is an answer."""
    used = {name.partition(".")[0] for name, value in kernel.items() if value}
    values: dict[Key, int] = {}
    for name, value in kernel.items():
        key = kernel_key(name)
        if key is not None and (key[0] == "process" or key[0] in used):
            values[key] = value
    values["stream", "delivered_bytes", ""] = streams.delivered_bytes
    values["stream", "lost_bytes", "gap"] = streams.gap_bytes
    values["stream", "ignored_bytes", "not_llm"] = streams.unwanted_bytes
    values["stream", "repeated_bytes", ""] = streams.repeated_bytes
    values["http", "captured_exchanges", ""] = http.exchanges
    values["http", "orphan_responses", ""] = http.orphan_responses
    values["http", "socket_messages", ""] = http.socket_messages
    values["http", "given_up_exchanges", ""] = http.given_up_exchanges
    values["http", "joined_late_connections", ""] = http.joined_late_connections
    values["http", "joined_late_calls", ""] = http.joined_late_calls
    for reason, length in http.undecoded_bytes.items():
        values["http", "undecoded_bytes", reason] = length
    for protocol, length in http.framing_bytes.items():
        values["http", "framing_bytes", protocol] = length
    values.update(own)
    return [
        HealthRow(capture_id, source, counter, cause, value)
        for (source, counter, cause), value in values.items()
        if value or counter in _ALWAYS_SHOWN
    ]
