"""Everything that analysis has found in a store.

In: a `Reader` of the store. Out: findings in order of time, for the CLI, the TUI and the
exporters, and the same as JSON-ready records. `analysis.analyst` has put them there.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from analysis.compactions import COMPACTION_KINDS
from analysis.conflicts import CONFLICT_KINDS
from analysis.escalations import ESCALATION_KINDS
from analysis.loops import LOOP_KINDS
from analysis.reading import Reader, query
from analysis.result import Record, rfc3339
from analysis.runaways import RUNAWAY_KINDS
from analysis.steps import Evidence, Finding
from collector.store_errors import QueryFailed

__all__ = [
    "ALL_KINDS",
    "COMPACTION_KINDS",
    "CONFLICT_KINDS",
    "ESCALATION_KINDS",
    "LOOP_KINDS",
    "RUNAWAY_KINDS",
    "Evidence",
    "Finding",
    "finding_records",
    "findings",
]

SAID_AND_DID_KINDS = frozenset({"unasked_action", "no_effect"})
FOOTPRINT_KINDS = frozenset({"sensitive_read", "leak", "injection"})
ALL_KINDS = (
    LOOP_KINDS
    | RUNAWAY_KINDS
    | ESCALATION_KINDS
    | CONFLICT_KINDS
    | SAID_AND_DID_KINDS
    | FOOTPRINT_KINDS
    | COMPACTION_KINDS
)
_EVIDENCE = 6  # its place among the fields of a Finding
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def findings(
    reader: Reader,
    *,
    since_ns: int | None = None,
    session: str | None = None,
    kinds: Collection[str] = ALL_KINDS,
) -> list[Finding]:
    """Findings of the kinds, of one session or of all, by time (unknown times first).

    With `since_ns`, those that went on at or after it. Raises `QueryFailed`, also when there are
    more than one query may return, rather than to leave some out.
    """
    asked = {"kinds": sorted(kinds), "session": session, "since_ns": since_ns}
    rows = reader.rows(query("findings"), asked)
    if rows.truncated:
        raise QueryFailed(
            f"the store holds more than {len(rows)} findings",
            hint="narrow to one session, or to a time",
        )
    return [_finding(row) for row in rows]


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
            "wasted_usd": finding.wasted_usd,
            "waited_ms": finding.waited_ms,
            "evidence": [
                {
                    "kind": each.kind,
                    "id": each.id,
                    "note": each.note,
                    "at": _moment(each.at_ns),
                    "pid": each.pid,
                }
                for each in finding.evidence
            ],
        }
        for finding in found
    ]


def evidence_records(evidence: Any) -> list[Record]:
    """The evidence of a row of the view `findings`, as `finding_records` has it."""
    return [
        {
            "kind": each["kind"],
            "id": each["id"],
            "note": each["note"],
            "at": _moment(each["at_ns"]),
            "pid": each["pid"],
        }
        for each in evidence
    ]


def _finding(row: Sequence[Any]) -> Finding:
    values = list(row)
    values[_EVIDENCE] = tuple(Evidence(**each) for each in orjson.loads(values[_EVIDENCE]))
    return Finding(*values)


def _moment(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    return rfc3339(_EPOCH + datetime.timedelta(microseconds=time_ns // 1000))
