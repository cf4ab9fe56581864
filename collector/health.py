"""Health: what was captured, what was lost and why, as counters.

In: the kernel's counters and those of each stage. Out: `HealthRow`s. For each TLS source,
captured + lost + truncated + ignored bytes equal what the programs sent and received.
"""

from __future__ import annotations

from collector.exchange import HttpCounters
from collector.rows import HealthRow
from collector.streams import StreamAssembler

# Kernel counter (probes.frames.COUNTERS) -> (source, counter, cause)
_KERNEL = {
    "tls_events": ("openssl", "captured_events", ""),
    "tls_bytes": ("openssl", "captured_bytes", ""),
    "tls_lost_events_ring_full": ("openssl", "lost_events", "ring_full"),
    "tls_lost_bytes_ring_full": ("openssl", "lost_bytes", "ring_full"),
    "tls_lost_events_read_fault": ("openssl", "lost_events", "read_fault"),
    "tls_lost_bytes_read_fault": ("openssl", "lost_bytes", "read_fault"),
    "tls_lost_bytes_call_too_long": ("openssl", "truncated_bytes", "call_too_long"),
    "tls_lost_bytes_connection_table_full": ("openssl", "lost_bytes", "connection_table_full"),
    "tls_ignored_bytes": ("openssl", "ignored_bytes", "not_llm"),
    "tls_nested_calls": ("openssl", "lost_events", "nested_too_deep"),
    "process_events": ("process", "captured_events", ""),
    "process_lost_events_ring_full": ("process", "lost_events", "ring_full"),
    "process_truncated_bytes": ("process", "truncated_bytes", "argv_too_long"),
    "process_lost_targets_table_full": ("process", "lost_events", "targets_table_full"),
}
_ALWAYS_SHOWN = frozenset({"captured_events", "captured_bytes", "lost_events", "lost_bytes"})


def health_rows(
    capture_id: str,
    kernel: dict[str, int],
    streams: StreamAssembler,
    http: HttpCounters,
    own: dict[tuple[str, str, str], int],
) -> list[HealthRow]:
    """The counters as they stand; zeros only where zero is an answer."""
    values = {_KERNEL[name]: value for name, value in kernel.items() if name in _KERNEL}
    values["stream", "delivered_bytes", ""] = streams.delivered_bytes
    values["stream", "lost_bytes", "gap"] = streams.gap_bytes
    values["stream", "ignored_bytes", "not_llm"] = streams.unwanted_bytes
    values["stream", "repeated_bytes", ""] = streams.repeated_bytes
    values["http", "captured_exchanges", ""] = http.exchanges
    values["http", "orphan_responses", ""] = http.orphan_responses
    for reason, length in http.undecoded_bytes.items():
        values["http", "undecoded_bytes", reason] = length
    values.update(own)
    return [
        HealthRow(capture_id, source, counter, cause, value)
        for (source, counter, cause), value in values.items()
        if value or counter in _ALWAYS_SHOWN
    ]
