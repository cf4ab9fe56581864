"""What each session is doing now: generating, waiting, running a tool, stuck, done.

In: `Seen`, what `queries/session_states.sql` says of one session, and the present time. Out: a
`SessionState`. Rules follow `analysis.turn_times` and `analysis.outcomes`, in this order, for a
session whose capture is running and has not fallen silent:

1. `stuck`: a loop goes on, an answer has fallen silent, or a call runs much longer than usual;
2. `working`: a call runs, and its first token has come;
3. `model`: a call runs without one, or the provider asked to wait before it is tried again;
4. `human`: a tool is open that asks a human, or an answer asked for nothing more;
5. `tool`: a tool call of the last answer has no result yet;
6. `unknown`: the last call failed or broke off, and nothing came since.

Where nothing can go on (no collector captures, the process has ended, a sub-agent has answered, or
nothing was heard for `SILENT_NS` of a session whose process is not known to live) it is over: the
state is the session's outcome, `ended` when that is not known.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.escalations import HUMAN_ESCALATION_CLASSES
from analysis.finish_reasons import finish_class
from analysis.markers import markers
from analysis.outcomes import RECENT_NS
from analysis.reading import Reader, query

State = Literal[
    "stuck", "working", "model", "tool", "human", "unknown",
    "completed", "failed", "gave_up", "cut_off", "refused", "ended",
]  # fmt: skip
GOING_ON = frozenset({"stuck", "working", "model", "tool", "human", "unknown"})

MOST_SESSIONS = 200
ACTIVE_NS = 6 * 3600 * 10**9
"""Sessions with calls in so much time before the last one come first."""
SILENT_NS = RECENT_NS
STALLED_NS = 30 * 10**9
"""So long an answer that is being written says nothing when it has stalled. The gaps of a running
answer are not stored, so that no usual one is known."""
SLOW_FACTOR = 8
MIN_SLOW_NS = 120 * 10**9
"""A call that takes longer than both, against the median of its session, is stuck."""
MIN_USUAL = 3
"""From so many answers on a median is usual."""
OPEN_LOOP_CALLS = 2
"""So many calls may have begun since a loop was last seen to go round; after more it is over."""
BURN_NS = 3600 * 10**9
_LEAST_BURN_NS = 60 * 10**9
_LEAST_PACE_NS = 100_000_000

_SEVERITIES = {1: "info", 2: "warning", 3: "critical"}


@dataclass(frozen=True, slots=True)
class SessionState:
    """One session. Times are nanoseconds since the epoch; None is not known.

    `state_since_ns`: when it came into the state. `depth`: below how many of the sessions listed
    it stands. `tokens_per_s`: of the answer under way, else of the last one that was finished.
    `ttft_ms`: of the last streamed answer that began. `context_tokens`: input of the last request
    whose size is known; `context_window`: most that its model takes, None: the price tables do not
    say. `usd_per_hour`: over the last hour before its last call. `worst`: of its findings.
    """

    session_id: str
    parent_session_id: str | None
    depth: int
    agent: str | None
    agent_version: str | None
    state: State
    detail: str | None
    state_since_ns: int | None
    model: str | None
    tokens_per_s: float | None
    ttft_ms: float | None
    calls: int
    open_calls: int
    errors: int
    input_tokens: int | None
    output_tokens: int | None
    estimated_calls: int
    cost_usd: float | None
    unpriced_calls: int
    usd_per_hour: float | None
    context_tokens: int | None
    context_window: int | None
    context_estimated: bool
    findings: int
    worst: str | None
    started_ns: int
    last_ns: int | None

    @property
    def goes_on(self) -> bool:
        """Is it not over, as far as is known?"""
        return self.state in GOING_ON


@dataclass(frozen=True, slots=True)
class SessionStates:
    """Sessions as a tree in a list: each sub-agent below its parent, families that go on first.

    `total`: how many sessions the store has. `live`: a collector captures now. `now_ns`: the
    moment that this is about: the present, or without a capture the last thing that is stored.
    """

    sessions: tuple[SessionState, ...]
    total: int
    live: bool
    now_ns: int


def session_states(
    reader: Reader,
    session_id: str | None = None,
    *,
    most: int = MOST_SESSIONS,
    now_ns: int | None = None,
) -> SessionStates:
    """The sessions that were active last, or one with its sub-agents. Raises `QueryFailed`."""
    ((total, last_ns, any_open),) = reader.rows(query("session_states_bounds"))
    live = reader.source != "file" and bool(any_open)
    present = time.time_ns() if now_ns is None else now_ns
    moment = present if live or last_ns is None else last_ns + 1
    asked = {
        "session": session_id,
        "most": most,
        "active_ns": (last_ns or 0) - ACTIVE_NS,
        "burn_ns": BURN_NS,
    }
    found = reader.rows(query("session_states"), asked)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found]
    states = [judged(row, moment, live=live) for row in rows]
    return SessionStates(tuple(family_order(states)), total, live, moment)


def judged(row: Mapping[str, Any], now_ns: int, *, live: bool) -> SessionState:
    """One row of `session_states.sql` at a moment."""
    state, detail, since_ns = _state(row, now_ns, live=live)
    fields = {name: row[name] for name in SessionState.__slots__ if name in row}
    going_on = state in GOING_ON
    return SessionState(
        **{
            **fields,
            "depth": 0,
            "state": state,
            "detail": detail,
            "state_since_ns": since_ns,
            "tokens_per_s": _pace(row) if going_on else row["paced_tokens_per_s"],
            "usd_per_hour": _burn(row, now_ns if going_on else row["heard_ns"]),
            "context_window": _window(row),
            "context_estimated": bool(row["context_estimated"]),
            "worst": _SEVERITIES.get(row["worst"] or 0),
            "last_ns": _last_ns(row),
        }
    )


def family_order(states: Iterable[SessionState]) -> list[SessionState]:
    """Each sub-agent below its parent. Families of which something goes on come first; among
    equals the newest, so that a line moves only when a session begins or ends."""
    every = {one.session_id: one for one in states}
    children: dict[str | None, list[SessionState]] = {}
    for one in every.values():
        parent = one.parent_session_id
        children.setdefault(parent if parent in every else None, []).append(one)
    going: set[str] = set()
    for one in every.values():
        at: SessionState | None = one if one.goes_on else None
        while at is not None and at.session_id not in going:
            going.add(at.session_id)
            at = every.get(at.parent_session_id or "")
    ordered: list[SessionState] = []
    placed: set[str] = set()

    def key(one: SessionState) -> tuple[bool, int, str]:
        return (one.session_id not in going, -one.started_ns, one.session_id)

    def place(roots: Iterable[SessionState]) -> None:
        waiting = [(one, 0) for one in sorted(roots, key=key, reverse=True)]
        while waiting:
            one, depth = waiting.pop()
            if one.session_id in placed:
                continue
            placed.add(one.session_id)
            ordered.append(_at_depth(one, depth))
            below = sorted(children.get(one.session_id, ()), key=key, reverse=True)
            waiting += [(child, depth + 1) for child in below]

    place(children.get(None, ()))
    place(every.values())  # parents that stand below themselves
    return ordered


def _at_depth(one: SessionState, depth: int) -> SessionState:
    return one if one.depth == depth else replace(one, depth=depth)


def _state(
    row: Mapping[str, Any], now_ns: int, *, live: bool
) -> tuple[State, str | None, int | None]:
    last_ns = _last_ns(row)
    lives = bool(row["process_known"]) and row["process_ended_ns"] is None
    if row["last_call_id"] is None:
        return ("unknown" if live and row["capture_open"] else "ended"), "no call yet", None
    if not live or not row["capture_open"] or row["process_ended_ns"] is not None:
        return _over(row)
    silent = last_ns is not None and now_ns - last_ns > SILENT_NS
    if silent and not lives:
        return _over(row)
    if row["parent_session_id"] is not None and _answered(row):
        return _over(row)
    return _stuck(row, now_ns) or _going_on(row, now_ns)


def _going_on(row: Mapping[str, Any], now_ns: int) -> tuple[State, str | None, int | None]:
    ended_ns = row["last_ended_ns"]
    if row["status"] == "running":
        token_ns = row["last_first_token_ns"]
        if row["stream"] and token_ns is not None:
            return "working", None, token_ns
        return "model", None, row["last_started_ns"]
    if row["status"] in ("error", "incomplete"):
        why = row["error_type"] or (str(row["http_status"]) if row["http_status"] else None)
        broke_off = row["status"] == "incomplete"
        what = "the last answer broke off" if broke_off else f"the last call failed: {why or '?'}"
        wait_s = row["retry_after_s"]
        until_ns = ended_ns if wait_s is None or ended_ns is None else ended_ns + wait_s * 1e9
        if until_ns is not None and now_ns < until_ns:
            return "model", f"asked to wait {wait_s:.0f} s; {what}", ended_ns
        return "unknown", what, ended_ns
    if row["tools"]:
        for name, arguments in zip(row["tools"], row["tool_arguments"], strict=True):
            if _asks_human(name, arguments):
                return "human", name, row["tools_ns"]
        more = len(row["tools"]) - 1
        name = row["tools"][0]
        return "tool", f"{name} +{more}" if more else name, row["tools_ns"]
    if row["tool_call_count"] or finish_class(row["finish_reason"]) == "tool_use":
        return "model", "tools are done, the next request has not come", ended_ns
    return "human", "it answered; the next message is yours", ended_ns


def _stuck(row: Mapping[str, Any], now_ns: int) -> tuple[State, str, int | None] | None:
    loop_ns = row["loop_ns"]
    if loop_ns is not None and row["calls_since_loop"] <= OPEN_LOOP_CALLS and not _answered(row):
        return "stuck", f"{row['loop_kind']}: {row['loop_title']}", loop_ns
    if row["status"] != "running":
        return None
    said_ns = row["said_ns"]
    if row["last_first_token_ns"] is not None and said_ns is not None:
        silent_ns = now_ns - said_ns
        if silent_ns > STALLED_NS:
            return "stuck", f"the answer says nothing for {silent_ns / 1e9:.0f} s", said_ns
    elapsed_ns = now_ns - row["last_started_ns"]
    usual_ns = row["usual_ns"] if (row["usual_of"] or 0) >= MIN_USUAL else None
    if usual_ns is not None and elapsed_ns > max(MIN_SLOW_NS, SLOW_FACTOR * usual_ns):
        what = f"a call runs for {elapsed_ns / 1e9:,.0f} s, {usual_ns / 1e9:.0f} s are usual"
        return "stuck", what, row["last_started_ns"]
    return None


def _over(row: Mapping[str, Any]) -> tuple[State, str | None, int | None]:
    """What became of it, as `analysis.outcomes` says; `running` is an old word by now."""
    outcome = row["outcome"]
    at_ns = row["process_ended_ns"] or _last_ns(row)
    if outcome in ("completed", "failed", "gave_up", "cut_off", "refused"):
        return outcome, row["reason"], at_ns
    if _answered(row):
        return "completed", "the model answered and asked for no more", at_ns
    if outcome == "running" or row["status"] == "running":
        return "cut_off", "it was under way when it was last heard of", at_ns
    return "ended", row["reason"] if outcome == "unknown" else None, at_ns


def _answered(row: Mapping[str, Any]) -> bool:
    """Did the last answer end well, and ask for nothing more?"""
    return (
        row["status"] == "ok"
        and not row["tool_call_count"]
        and not row["tools"]
        and finish_class(row["finish_reason"]) != "tool_use"
    )


def _asks_human(name: str, arguments: str | None) -> bool:
    marker = markers().in_tool_name(name, arguments)
    return marker is not None and marker.kind in HUMAN_ESCALATION_CLASSES


def _pace(row: Mapping[str, Any]) -> float | None:
    """Output tokens a second of the answer under way, from its first token; else of the last."""
    said_ns, token_ns, tokens = row["said_ns"], row["last_first_token_ns"], row["said_tokens"]
    said_something = row["status"] == "running" and said_ns and token_ns and tokens
    if said_something and said_ns - token_ns > _LEAST_PACE_NS:
        return float(tokens / ((said_ns - token_ns) / 1e9))
    pace: float | None = row["paced_tokens_per_s"]
    return pace


def _burn(row: Mapping[str, Any], until_ns: int | None) -> float | None:
    cost, first_ns = row["recent_usd"], row["recent_first_ns"]
    if cost is None or first_ns is None or until_ns is None:
        return None
    passed_ns = until_ns - first_ns
    return None if passed_ns < _LEAST_BURN_NS else cost / (passed_ns / 3600e9)


def _window(row: Mapping[str, Any]) -> int | None:
    if row["context_tokens"] is None:
        return None
    from collector.pricing import context_window

    return context_window(
        row["sized_model"], row["sized_request_model"], row["sized_provider"], row["sized_host"]
    )


def _last_ns(row: Mapping[str, Any]) -> int | None:
    known = [at for at in (row["heard_ns"], row["said_ns"], row["tools_ns"]) if at is not None]
    return max(known, default=None)
