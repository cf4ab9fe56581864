"""All that goes on at one glance: sessions and their states, sums, rates of the last minutes.

In: a `Reader`, and to what the user narrowed it. Out: an `Overview`, which the dashboard's first
view draws and `underglass status` prints. Bounded, and cheap in a store of a million calls.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.fitting_rows import fitting
from analysis.reading import Reader, query
from analysis.result import rfc3339
from analysis.session_states import MOST_SESSIONS, SessionState, SessionStates, session_states
from analysis.spend import moment
from analysis.state_columns import STATE_TYPES, STATES, doing

SPANS = 60
SPAN_NS = 10 * 10**9
"""Rates are of the last ten minutes, in spans of ten seconds."""
LONGEST_CALL_NS = 3600 * 10**9
"""Calls that began longer before are left out of the rates."""
MOST_FINDINGS = 20
_MOST_FILTERED = 2000


@dataclass(frozen=True, slots=True)
class Rates:
    """By span, oldest first."""

    tokens_per_s: tuple[float, ...]
    calls: tuple[int, ...]
    cost_usd: tuple[float, ...]
    errors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sums:
    """Over all calls that are looked at."""

    calls: int
    errors: int
    open_calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    unpriced_calls: int
    estimated_calls: int


@dataclass(frozen=True, slots=True)
class LatestFinding:
    """A finding in short. `last_ns`: when it was seen last, since the epoch."""

    finding_id: str
    session_id: str | None
    kind: str
    severity: str
    title: str
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """`filtered`: sessions that the filter leaves out, of those that were looked at."""

    states: SessionStates
    sums: Sums
    rates: Rates
    findings: tuple[LatestFinding, ...]
    filtered: int = 0


def overview(
    reader: Reader,
    session_id: str | None = None,
    where: str = "",
    *,
    most: int = MOST_SESSIONS,
    now_ns: int | None = None,
) -> Overview:
    """Of all sessions, or of one with its sub-agents. `where`: a filter on the columns of `STATES`.

    Sums, rates and findings are those of the session, whatever the filter. Raises `BadFilter` and
    `QueryFailed`.
    """
    if where.strip():
        most = max(most, _MOST_FILTERED)
    present_ns = time.time_ns() if now_ns is None else now_ns
    states = session_states(reader, session_id, most=most, now_ns=present_ns)
    about: dict[str, Any] = {"session": session_id}
    kept = filtered(reader, states.sessions, where, present_ns)
    (sums,) = reader.rows(query("overview_totals"), about)
    found = reader.rows(query("latest_findings"), {**about, "most": MOST_FINDINGS})
    return Overview(
        states=SessionStates(kept, states.total, states.live, states.now_ns),
        sums=Sums(*sums),
        rates=rates(reader, states.now_ns, session_id),
        findings=tuple(LatestFinding(*row) for row in found),
        filtered=len(states.sessions) - len(kept),
    )


def rates(reader: Reader, until_ns: int, session_id: str | None = None) -> Rates:
    """What went on in the `SPANS` before a moment."""
    asked = {
        "until_ns": until_ns,
        "count": SPANS,
        "width_ns": SPAN_NS,
        "longest_ns": LONGEST_CALL_NS,
        "session": session_id,
    }
    found = reader.rows(query("recent_rates"), asked)
    return Rates(
        found.column("tokens_per_s"),
        found.column("calls"),
        found.column("cost_usd"),
        found.column("errors"),
    )


def filtered(
    reader: Reader, sessions: Sequence[SessionState], where: str, now_ns: int
) -> tuple[SessionState, ...]:
    """Those that fit the filter. Raises `BadFilter`."""
    if not where.strip():
        return tuple(sessions)
    rows = [table_row(one, now_ns) for one in sessions]
    return tuple(sessions[at] for at in fitting(reader, rows, STATES, STATE_TYPES, where, now_ns))


def state_record(one: SessionState) -> dict[str, Any]:
    """A session by field name, as JSON has it: `SessionState` with times as `_at`."""
    fields: dict[str, Any] = {name: getattr(one, name) for name in SessionState.__slots__}
    for name in ("started", "last", "state_since"):
        at = moment(fields.pop(f"{name}_ns"))
        fields[f"{name}_at"] = None if at is None else rfc3339(at)
    return fields


def finding_record(one: LatestFinding) -> dict[str, Any]:
    """A finding as JSON has it."""
    fields: dict[str, Any] = asdict(one)
    at = moment(fields.pop("last_ns"))
    return {**fields, "last_at": None if at is None else rfc3339(at)}


def table_row(one: SessionState, now_ns: int) -> Mapping[str, Any]:
    """A session as a row of `STATES`, with its ages in milliseconds at a moment."""
    return {
        **state_record(one),
        "doing": doing(one.state, one.detail),
        "age_ms": None if one.last_ns is None else max(0, now_ns - one.last_ns) / 1e6,
        "state_ms": None
        if one.state_since_ns is None
        else max(0, now_ns - one.state_since_ns) / 1e6,
    }
