"""Health as one object: each source with its counters, losses by cause.

In: rows of the views `health` and `coverage`. Out: what `underglass health --json` prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from analysis.result import Record

HOOKED = frozenset({"hooked", "on_trial"})
_BY_CAUSE = frozenset({"lost_events", "lost_bytes", "truncated_bytes", "undecoded_bytes"})


def health_object(counters: Iterable[Record], stacks: Iterable[Record]) -> dict[str, Any]:
    """`sources`: source -> counter -> number, or cause -> number for losses; and coverage."""
    sources: dict[str, dict[str, Any]] = {}
    ignored: dict[str, int] = {}
    attached = 0
    for row in counters:
        source, counter, cause, value = (
            row[name] for name in ("source", "counter", "cause", "value")
        )
        if counter == "attached_probes":
            attached = value
        elif counter == "connections_ignored":
            ignored[cause] = value
        elif source != "probe":
            counted = sources.setdefault(source, {})
            if counter in _BY_CAUSE:
                counted.setdefault(counter, {})[cause] = value
            else:
                counted[counter] = counted.get(counter, 0) + value
    known = list(stacks)
    return {
        "sources": sources,
        "connections_ignored": ignored,
        "attached_probes": attached,
        "coverage_gaps": [one for one in known if one["status"] not in HOOKED],
        "coverage": known,
    }
