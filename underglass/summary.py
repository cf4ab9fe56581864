"""The few lines that a capture ends with.

In: the batches of one capture. Out: totals on standard error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from probes.events import Source

if TYPE_CHECKING:
    from collector.rows import Batch

_SOURCES = frozenset(source.name.lower() for source in Source)
_LATE = ("http", "joined_late_calls", "")


@dataclass(slots=True)
class Summary:
    """Totals of one capture. `cost_usd` sums the priced calls."""

    exit_code: int = 0
    calls: int = 0
    errors: int = 0
    incomplete: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    without_usage: int = 0
    estimated: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    tool_calls: int = 0
    programs: int = 0
    dropped_rows: int = 0
    probe_died: bool = False
    recording_failed: bool = False
    _counters: dict[tuple[str, str, str], tuple[str, int]] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Count what a batch tells for the last time."""
        for call in batch.calls:
            if call.status == "running":
                continue
            self.calls += 1
            self.errors += call.status == "error"
            self.incomplete += call.status == "incomplete"
            self.tool_calls += call.tool_call_count
            self.input_tokens += call.input_tokens or 0
            self.output_tokens += call.output_tokens or 0
            self.estimated += (call.usage_source or "").endswith("estimated")
            self.without_usage += call.input_tokens is None and call.status != "error"
            self.cost_usd += call.cost_usd or 0.0
            self.unpriced += call.cost_usd is None and call.status != "error"
        self.programs += sum(bool(row.argv and row.ended_ns) for row in batch.processes)
        for row in batch.health:
            counter = "lost_bytes" if row.counter == "truncated_bytes" else row.counter
            of_a_source = row.source in _SOURCES
            if (
                (of_a_source and counter in ("captured_bytes", "lost_bytes"))
                or (counter == "lost_events" and (of_a_source or row.source == "process"))
                or (row.source, row.counter, row.cause) == _LATE
            ):
                self._counters[row.source, row.counter, row.cause] = (counter, row.value)

    def _counter(self, name: str) -> int:
        return sum(value for counter, value in self._counters.values() if counter == name)

    @property
    def captured_bytes(self) -> int:
        """Plaintext that was delivered, over all sources."""
        return self._counter("captured_bytes")

    @property
    def lost_bytes(self) -> int:
        """Plaintext that was exchanged and could not be delivered."""
        return self._counter("lost_bytes")

    @property
    def lost_events(self) -> int:
        """Events of any kind that could not be delivered."""
        return self._counter("lost_events")

    @property
    def joined_late_calls(self) -> int:
        """Exchanges that were under way when capture came; their beginning was not seen."""
        return self._counter("joined_late_calls")

    def show(self, where: str) -> None:
        """Print to standard error; `where` says how to go on."""
        mark = "~" if self.estimated else ""
        parts = [f"{self.calls} LLM calls"]
        if self.errors:
            parts.append(f"{self.errors} failed")
        if self.incomplete:
            parts.append(f"{self.incomplete} incomplete")
        if not self.calls or self.without_usage < self.calls:
            parts.append(f"{mark}{self.input_tokens:,} tokens in, {mark}{self.output_tokens:,} out")
        if self.estimated:
            parts.append(f"tokens of {self.estimated} calls estimated")
        if self.without_usage:
            parts.append(f"{self.without_usage} calls without token counts")
        priced = (
            f"{mark}${self.cost_usd:.4f}" if not self.calls or self.unpriced < self.calls else ""
        )
        unpriced = f"{self.unpriced} unpriced calls" if self.unpriced else ""
        parts += [" + ".join(filter(None, (priced, unpriced))), f"{self.tool_calls} tool calls"]
        parts += [f"{self.programs} programs run", f"{self.captured_bytes:,} bytes captured"]
        parts.append(f"{self.lost_bytes:,} bytes lost")
        lines = [", ".join(parts)]
        if self.lost_events:
            lines.append(f"{self.lost_events} events lost; see: underglass health")
        if self.joined_late_calls:
            lines.append(
                "under way when capture came, so that their beginning was not seen: "
                f"{self.joined_late_calls} exchanges"
            )
        if self.dropped_rows:
            lines.append(f"{self.dropped_rows} rows could not be written to the store")
        if self.probe_died:
            lines.append("the probe process ended early; what followed was not seen")
        for line in (*lines, where):
            click.echo(f"underglass: {line}", err=True)
