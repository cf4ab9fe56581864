"""What an empty table says: nothing happened, filtered out, or the probes see nothing.

In: a snapshot, and how many rows a filter hides. Out: a title and what to do about it.
"""

from __future__ import annotations

from analysis.cells import printable
from analysis.columns import FINDINGS, HEALTH
from analysis.table_layout import Row, Table
from tui.snapshot import Snapshot

START = """\
underglass run -- COMMAND      watch a command
underglass attach --name NAME  watch agents that run already
underglass demo                see a sample agent at work"""
_MOST_LIBRARIES = 4


def empty_text(table: Table, snapshot: Snapshot, filter_text: str) -> tuple[str, str]:
    """Title and advice for a table without a row to show."""
    rows = snapshot.rows
    if rows.error is not None:
        return f"{table.label} are not known", printable(rows.error)
    if rows.rows:
        return (
            f"All {len(rows.rows):,} rows are hidden by the filter",
            f"{printable(filter_text)}\n\nEsc clears it, / changes it.",
        )
    if snapshot.window.session_id is not None and table.has_session:
        return f"No {table.label.lower()} of this session", "Esc shows all sessions again."
    if snapshot.capture is None:
        return "Nothing was captured yet", f"This store is empty. Start with one of:\n\n{START}"
    blind = _blindness(snapshot)
    if blind is not None and table is not HEALTH:
        return blind
    if table is FINDINGS and snapshot.totals.calls:
        return (
            "No loops and no escalations",
            f"Looked through {snapshot.totals.calls:,} calls and their tool results.",
        )
    if snapshot.totals.calls:
        return f"No {table.label.lower()} yet", "They appear here as they are captured."
    return _waiting(table, snapshot)


def _blindness(snapshot: Snapshot) -> tuple[str, str] | None:
    """Why the probes can see nothing, if they cannot."""
    assert snapshot.capture is not None
    if snapshot.totals.calls:
        return None
    if not snapshot.capture.attached:
        return (
            "The probes did not attach",
            "The capture began, but nothing says that its probes work.\n\n"
            "underglass doctor     says what is missing, and how to mend it",
        )
    if not snapshot.hooked:
        return (
            "No TLS stack is hooked",
            f"{_libraries(snapshot.not_hooked)}\n\n"
            "underglass doctor     says which programs can be watched\n"
            "6 Health, 7 Coverage   show what was seen so far",
        )
    return None


def _libraries(not_hooked: tuple[Row, ...]) -> str:
    if not not_hooked:
        return "No watched process holds a TLS stack that underglass knows."
    lines = [
        printable(f"{row['path'] or row['program']}: {row['detail'] or 'not hooked'}")
        for row in not_hooked[:_MOST_LIBRARIES]
    ]
    if len(not_hooked) > _MOST_LIBRARIES:
        lines.append(f"and {len(not_hooked) - _MOST_LIBRARIES} more")
    return "\n".join(lines)


def _waiting(table: Table, snapshot: Snapshot) -> tuple[str, str]:
    capture = snapshot.capture
    assert capture is not None
    libraries = f"{snapshot.hooked} TLS stack{' is' if snapshot.hooked == 1 else 's are'} hooked"
    events = snapshot.losses.captured_events
    seen = "nothing was captured from it yet" if not events else f"{events:,} events were captured"
    if capture.ended_at is not None or snapshot.source == "file":
        return (
            "The capture ended without an LLM call",
            f"{printable(capture.command)}\n\n{libraries}; {seen}. "
            f"6 Health says what became of it.\n\n{START}",
        )
    return (
        f"No {table.label.lower()} yet: waiting for the agent's first LLM call",
        f"{printable(capture.command)}\n\n{libraries}; {seen}.",
    )
