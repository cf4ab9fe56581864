"""What an empty view says: nothing happened, filtered out, or the probes see nothing.

In: the view, what it was narrowed to, and a snapshot of the store. Out: a title and what to do
about it.
"""

from __future__ import annotations

from analysis.cells import printable
from analysis.table_layout import Row
from tui.snapshot import Snapshot
from tui.view import Scope

START = """\
underglass run -- COMMAND      watch a command
underglass attach --name NAME  watch agents that run already
underglass demo                see a sample agent at work"""
_MOST_LIBRARIES = 4


def empty_text(
    name: str,
    label: str,
    scope: Scope,
    snapshot: Snapshot,
    *,
    hidden: int | None = None,
    of_session: bool = True,
) -> tuple[str, str]:
    """Title and advice for a view without anything to show.

    `name` and `label` are the view's; `hidden`: rows that the filter hides, None when not counted;
    `of_session`: whether the view shows the session of the scope alone.
    """
    if scope.where.strip() and (hidden is None or hidden):
        counted = "Everything is" if hidden is None else _hidden_rows(hidden)
        return (
            f"{counted} hidden by the filter",
            f"{printable(scope.where)}\n\nEsc clears it, / changes it.",
        )
    if scope.session_id is not None and of_session:
        return f"No {label.lower()} of this session", "Esc leads back to all sessions."
    if snapshot.capture is None:
        return "Nothing was captured yet", f"This store is empty. Start with one of:\n\n{START}"
    blind = _blindness(snapshot)
    if blind is not None and name != "health":
        return blind
    if name == "findings" and snapshot.totals.calls:
        return (
            "No findings",
            f"Looked through {snapshot.totals.calls:,} calls and their tool results for loops, "
            "escalations, conflicts, leaks and injections.",
        )
    if snapshot.totals.calls:
        return f"No {label.lower()} yet", "They appear here as they are captured."
    return _waiting(label, snapshot)


def _hidden_rows(hidden: int) -> str:
    return "The only row is" if hidden == 1 else f"All {hidden:,} rows are"


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
            f"{_libraries(snapshot.not_hooked, snapshot.not_hooked_count)}\n\n"
            "underglass doctor     says which programs can be watched\n"
            "9 Health              shows what was seen so far",
        )
    return None


def _libraries(not_hooked: tuple[Row, ...], count: int) -> str:
    if not not_hooked:
        return "No watched process holds a TLS stack that underglass knows."
    lines = [
        printable(f"{row['path'] or row['program']}: {row['detail'] or 'not hooked'}")
        for row in not_hooked[:_MOST_LIBRARIES]
    ]
    if count > len(lines):
        lines.append(f"and {count - len(lines):,} more")
    return "\n".join(lines)


def _waiting(label: str, snapshot: Snapshot) -> tuple[str, str]:
    capture = snapshot.capture
    assert capture is not None
    libraries = f"{snapshot.hooked} TLS stack{' is' if snapshot.hooked == 1 else 's are'} hooked"
    events = snapshot.losses.captured_events
    seen = "nothing was captured from it yet" if not events else f"{events:,} events were captured"
    if capture.ended_at is not None or not snapshot.live:
        return (
            "The capture ended without an LLM call",
            f"{printable(capture.command)}\n\n{libraries}; {seen}. "
            f"9 Health says what became of it.\n\n{START}",
        )
    return (
        f"No {label.lower()} yet: waiting for the agent's first LLM call",
        f"{printable(capture.command)}\n\n{libraries}; {seen}.",
    )
