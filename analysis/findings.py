"""Everything that the detectors find in a store.

In: a `Reader` of the store. Out: findings in order of time, for the CLI, the TUI and the
exporters, and the same as JSON-ready records. Maps rows to steps; each detector is a module of
its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable

from analysis.escalations import ESCALATION_KINDS, escalations
from analysis.loops import LOOP_KINDS, loops
from analysis.reading import Reader, query
from analysis.result import Record, ResultSet, rfc3339
from analysis.steps import CallStep, Evidence, Finding, ProcessStep, ToolStep
from analysis.turns import MessageLink, user_turns
from collector.store_errors import QueryFailed

__all__ = [
    "ESCALATION_KINDS",
    "LOOP_KINDS",
    "Evidence",
    "Finding",
    "finding_records",
    "findings",
]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def findings(
    reader: Reader,
    *,
    since_ns: int | None = None,
    session: str | None = None,
    kinds: Collection[str] = LOOP_KINDS | ESCALATION_KINDS,
) -> list[Finding]:
    """Findings of the kinds, of one session or of all, by time (unknown times first).

    With `since_ns`, those that went on at or after it; what came before still counts towards
    them. A detector runs only when one of its kinds is asked for. Raises `QueryFailed`, also when
    the store holds more than one query may return, rather than to leave findings out.
    """
    steps = [ToolStep(*row) for row in _rows(reader, "tool_steps", session)]
    calls = [(CallStep(*row[:-1]), row[-1]) for row in _rows(reader, "call_steps", session)]
    links = [MessageLink(*row) for row in _rows(reader, "message_nodes", session)]
    turns = user_turns(calls, links)
    found: list[Finding] = []
    if not LOOP_KINDS.isdisjoint(kinds):
        found += loops(steps, turns, [call for call, _ in calls])
    if not ESCALATION_KINDS.isdisjoint(kinds):
        found += escalations(steps, turns, _processes(reader))
    return sorted(
        (
            finding
            for finding in found
            if finding.kind in kinds
            and session in (None, finding.session_id)
            and (since_ns is None or (finding.last_at_ns or 0) >= since_ns)
        ),
        key=lambda finding: finding.first_at_ns or 0,
    )


def finding_records(found: Iterable[Finding]) -> list[Record]:
    """Findings as JSON-ready objects; times as in every other record."""
    return [
        {
            "kind": finding.kind,
            "session_id": finding.session_id,
            "severity": finding.severity,
            "first_at": _moment(finding.first_at_ns),
            "last_at": _moment(finding.last_at_ns),
            "title": finding.title,
            "count": finding.count,
            "wasted_tokens": finding.wasted_tokens,
            "evidence": [
                {"kind": each.kind, "id": each.id, "note": each.note} for each in finding.evidence
            ],
        }
        for finding in found
    ]


def _processes(reader: Reader) -> list[ProcessStep]:
    return [
        ProcessStep(key, pid, ppid, tuple(argv), exe, uid, started_ns, session_id)
        for key, pid, ppid, argv, exe, uid, started_ns, session_id in _whole(
            reader.rows(query("process_steps"))
        )
    ]


def _rows(reader: Reader, name: str, session: str | None) -> ResultSet:
    return _whole(reader.rows(query(name), {"session": session}))


def _whole(result: ResultSet) -> ResultSet:
    if result.truncated:
        raise QueryFailed(
            f"the store holds more than {len(result)} rows of one kind",
            hint="narrow to one session",
        )
    return result


def _moment(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    return rfc3339(_EPOCH + datetime.timedelta(microseconds=time_ns // 1000))
