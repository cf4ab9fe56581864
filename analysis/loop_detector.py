"""Finds the loops of one session, step by step, so that it can speak while the agent runs.

In: tool steps and user turns of one session, in order. Out: findings of the kinds `repeat` (one
call again and again), `cycle` (two to five calls in turn), `error_repeat` (either, when every
result is an error), `polling` (either, when one of the calls waits) and `agent_detected` (the
agent's own detector spoke). `analysis.loops` runs it over whole sessions.

Two steps are the same when tool, canonical arguments and normalised result are the same; of two
that fail the arguments are compared without case, times, ids and temporary paths. A step
without a result is the same as no other. A user's message and a file edit that succeeded begin
anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from analysis.effects import edits, fails, waits
from analysis.markers import Marker, markers
from analysis.steps import Evidence, Finding, Severity, ToolStep, UserTurn
from analysis.waste import Calls, Waste
from collector.normalisation import arguments_hash, normalise_result

MIN_REPEATS = 3
MAX_PERIOD = 5
MAX_POLLS = 10
"""Waits may repeat this often with the same result before that is a warning."""
CRITICAL_REPEATS = 10
MAX_EVIDENCE_STEPS = 30
MAX_COMPARED_CHARS = 4000
"""Arguments of failed calls longer than this are compared by their hash alone."""

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the detector remembers of a step; holds no text."""

    key: _Key | None  # None: the same as no other
    tool_call_id: str
    call_id: str
    name: str
    at_ns: int
    waits: bool | None  # None: it may, its arguments were not kept
    fails: bool


@dataclass(slots=True)
class _Run:
    """A maximal stretch of steps that repeats with a period; `start` counts a session's steps."""

    start: int
    period: int
    length: int
    names: tuple[str, ...]
    first_ns: int
    last_ns: int
    fails: bool = True
    polls: bool = False
    evidence: list[Evidence] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)  # distinct, in order; of the first round
    last_call_id: str | None = None
    waste: Waste = field(default_factory=Waste)


class LoopDetector:
    """Finds the loops of one session, step by step; memory grows only with its findings.

    `calls`: what the calls used and cost; it may fill up while the detector runs.
    """

    def __init__(self, session_id: str, calls: Calls | None = None) -> None:
        self._session_id = session_id
        self._calls = calls if calls is not None else {}
        self._recent: deque[_Entry] = deque(maxlen=MAX_PERIOD * (MAX_POLLS + 1))
        self._matched = [0] * (MAX_PERIOD + 1)  # by period: steps that equal the one before it
        self._steps = 0
        self._runs: list[_Run] = []
        self._warnings: dict[str, Finding] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings so far, by the time of their first step."""
        found = [*map(self._finding, self._runs), *self._warnings.values()]
        return tuple(sorted(found, key=lambda finding: finding.first_at_ns or 0))

    def feed(self, step: ToolStep | UserTurn) -> Finding | None:
        """Take the next step once its result is known; the loop that it opens or lengthens."""
        found = self.take(step)
        return self._finding(found) if isinstance(found, _Run) else found

    def take(self, step: ToolStep | UserTurn) -> _Run | Finding | None:
        """As `feed`, without stating the loop, which costs as much as finding it."""
        if isinstance(step, UserTurn):
            marker = markers().in_user_text(step.text)
            if marker is not None and marker.kind == "agent_detected":
                return self._warn(marker, Evidence("call", step.call_id, "user text"), step.at_ns)
            self._begin_anew()
            return None
        marker = None if step.result is None else markers().in_result(step.result, step.name)
        if marker is not None and marker.kind == "agent_detected":
            evidence = Evidence("tool", step.tool_call_id, step.name)
            warning = self._warn(marker, evidence, step.result_ns or step.requested_ns)
            return self._compare(step) or warning
        return self._compare(step)

    def _compare(self, step: ToolStep) -> _Run | None:
        if edits(step):
            self._begin_anew()
            return None
        entry = _entry(step)
        last = self._recent[-1] if self._recent else None
        if last and entry.key and (last.key, last.call_id) == (entry.key, entry.call_id):
            return None  # one response asked twice for the same: not a second round
        for period in range(1, MAX_PERIOD + 1):
            same = (
                entry.key is not None
                and len(self._recent) >= period
                and self._recent[-period].key == entry.key
            )
            self._matched[period] = self._matched[period] + 1 if same else 0
        self._recent.append(entry)
        self._steps += 1
        return self._grow()

    def _grow(self) -> _Run | None:
        period = self._longest_period()
        if period is None:
            return None
        length = self._matched[period] + period
        start = self._steps - length
        run = self._runs[-1] if self._runs else None
        if run is not None and (run.start, run.period) == (start, period):
            new = 1
        else:
            cycle = list(islice(self._recent, len(self._recent) - period, None))
            polls = any(entry.waits for entry in cycle)
            kept = deque[_Run]()
            while self._runs and self._runs[-1].start >= start:
                part = self._runs.pop()  # of this longer run
                if polls and not part.polls:
                    kept.appendleft(part)  # waiting afterwards does not excuse a loop
            self._runs += kept
            new = min(length, len(self._recent))
            first = self._recent[-new]
            names = tuple(entry.name for entry in cycle)
            run = _Run(start, period, length - new, names, first.at_ns, first.at_ns, polls=polls)
            self._runs.append(run)
        for entry in islice(self._recent, len(self._recent) - new, None):
            self._extend(run, entry)
        return run

    def _longest_period(self) -> int | None:
        """The period of the longest run that is long enough; the shortest of equals."""
        best, best_length = None, 0
        for period in range(1, MAX_PERIOD + 1):
            length = self._matched[period] + period
            if length < MIN_REPEATS * period or length <= best_length:
                continue
            cycle = islice(reversed(self._recent), period)
            if length <= MAX_POLLS * period and any(entry.waits is None for entry in cycle):
                continue
            best, best_length = period, length
        return best

    def _extend(self, run: _Run, entry: _Entry) -> None:
        if run.length < run.period:
            run.call_ids.append(entry.call_id)
        elif entry.call_id != run.last_call_id and entry.call_id not in run.call_ids:
            run.waste.add(self._calls.get(entry.call_id))
        if run.length < MAX_EVIDENCE_STEPS:
            if entry.call_id != run.last_call_id:
                run.evidence.append(Evidence("call", entry.call_id, f"asked for {entry.name}"))
            note = f"{entry.name}, round {run.length // run.period + 1}"
            run.evidence.append(Evidence("tool", entry.tool_call_id, note))
        run.last_ns = entry.at_ns
        run.fails = run.fails and entry.fails
        run.last_call_id = entry.call_id
        run.length += 1

    def _finding(self, run: _Run) -> Finding:
        count = run.length // run.period
        names = run.names
        what = "the same error" if run.fails else "the same result"
        severity: Severity = "critical" if count >= CRITICAL_REPEATS else "warning"
        if run.polls:
            kind = "polling"
            calls = " and ".join(dict.fromkeys(names))
            title = f"{calls} polled {count} times with {what}"
            severity = "info" if count <= MAX_POLLS else "warning"
        elif run.period == 1:
            kind, title = "repeat", f"{names[0]} was called {count} times in a row with {what}"
        else:
            kind = "cycle"
            title = f"{len(names)} calls ({', '.join(names)}) came round {count} times with {what}s"
        return Finding(
            kind="error_repeat" if run.fails and not run.polls else kind,
            session_id=self._session_id,
            severity=severity,
            first_at_ns=run.first_ns,
            last_at_ns=run.last_ns,
            title=title,
            evidence=tuple(run.evidence),
            count=count,
            wasted_tokens=run.waste.tokens,
            wasted_usd=run.waste.usd,
        )

    def _warn(self, marker: Marker, evidence: Evidence, at_ns: int) -> Finding:
        before = self._warnings.get(marker.client)
        listed = before.evidence if before else ()
        count = before.count + 1 if before else 1
        times = "" if count == 1 else f" ({count} times)"
        warning = Finding(
            kind="agent_detected",
            session_id=self._session_id,
            severity="warning",
            first_at_ns=before.first_at_ns if before else at_ns,
            last_at_ns=at_ns,
            title=f"The agent's own loop detector spoke{times}",
            evidence=(*listed, evidence) if count <= MAX_EVIDENCE_STEPS else listed,
            count=count,
        )
        self._warnings[marker.client] = warning
        return warning

    def _begin_anew(self) -> None:
        self._recent.clear()
        self._matched = [0] * (MAX_PERIOD + 1)


@lru_cache(maxsize=256)
def _loose_hash(arguments: str) -> str:
    return arguments_hash(" ".join(normalise_result(arguments).casefold().split()))


def _entry(step: ToolStep) -> _Entry:
    result = step.result_hash
    failed = fails(step)
    arguments = step.arguments_hash
    if failed and step.arguments is not None and len(step.arguments) <= MAX_COMPARED_CHARS:
        arguments = _loose_hash(step.arguments)
    return _Entry(
        key=None if result is None else (step.name, arguments, result),
        tool_call_id=step.tool_call_id,
        call_id=step.call_id,
        name=step.name,
        at_ns=step.requested_ns,
        waits=waits(step),
        fails=failed,
    )
