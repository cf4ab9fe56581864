"""How a session ended: completed, failed, gave up, cut off, refused, running, or not known.

In: the rows of one session and its findings. Out: an `OutcomeRow`, whose reason says by which rule
(docs/detectors.md, "Outcomes"). The rules look at the main line of calls: where calls offer tools,
those that offer none (titles, summaries) do not count. What an answer is worth cannot be told:
`completed` means that the agent worked and then answered without asking for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.derived import OutcomeRow
from analysis.effects import fails, shell_command
from analysis.escalations import HUMAN_ESCALATION_CLASSES
from analysis.finish_reasons import finish_class, is_refusal
from analysis.markers import markers
from analysis.operations import ANSWERING
from analysis.session_waste import is_cut, session_waste
from analysis.steps import CallStep, Finding, ProcessStep, SessionSteps, ToolStep

RECENT_NS = 10 * 60 * 10**9
"""Without a process to look at, a session that was silent for longer is over. The slowest answers
and most builds take less."""
MIN_FAILURES_IN_A_ROW = 3
"""Tool results that failed in a row right before the last answer: it had tried and gave up."""
DENIED_KINDS = frozenset({"human_denied", "plan_rejected", "policy_denied", "classifier_denied"})
STOP_SIGNALS = frozenset({1, 2, 9, 13, 15})  # HUP, INT, KILL, PIPE, TERM: ended from outside
CRASH_SIGNALS = frozenset({4, 5, 6, 7, 8, 11, 31})  # ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS
_STOP_EXIT_CODES = frozenset(128 + signal for signal in STOP_SIGNALS)
_DONE_COMMAND = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
"""By which mini-swe-agent's model says, in a shell command, that it is done."""

_Said = tuple[str, str]  # outcome, reason


def outcome(
    steps: SessionSteps, findings: Sequence[Finding], now_ns: int | None = None
) -> OutcomeRow:
    """How the session ended, with its sums.

    `now_ns`: the present time while more may come; None: nothing more will be seen, so that
    nothing is running. Findings of other sessions are left out.
    """
    session_id = steps.session.session_id
    own = [one for one in findings if one.session_id == session_id]
    name, reason = _Ending(steps, own, now_ns).told()
    spent = session_waste(steps.calls, steps.tools, own)
    costs = [call.cost_usd for call in steps.calls if call.cost_usd is not None]
    tokens = [call.tokens for call in steps.calls if call.tokens is not None]
    return OutcomeRow(
        session_id=session_id,
        outcome=name,
        reason=reason,
        wall_ns=_wall_ns(steps),
        calls=len(steps.calls),
        failed_calls=sum(call.status == "error" or is_cut(call) for call in steps.calls),
        tool_calls=len(steps.tools),
        failed_tool_calls=sum(map(fails, steps.tools)),
        human_escalations=sum(one.kind in HUMAN_ESCALATION_CLASSES for one in own),
        cost_usd=sum(costs) if costs else None,
        unpriced_calls=sum(
            call.cost_usd is None and call.status in ("ok", "incomplete") for call in steps.calls
        ),
        tokens=sum(tokens) if tokens else None,
        wasted_usd=spent.usd,
        wasted_tokens=spent.tokens,
    )


def main_line(calls: Sequence[CallStep]) -> list[CallStep]:
    """The calls by which the agent works, in order of time: without embeddings and helper calls."""
    chats = sorted(
        (call for call in calls if call.operation in ANSWERING), key=lambda call: call.started_ns
    )
    with_tools = [call for call in chats if call.tool_set is not None]
    return with_tools or chats


@dataclass(frozen=True, slots=True)
class _Process:
    """What became of the process that talks to the model. All None: it is not known."""

    ended_ns: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    known: bool = False

    @property
    def lives(self) -> bool:
        return self.known and self.ended_ns is None

    @property
    def crashed(self) -> bool:
        return self.signal in CRASH_SIGNALS

    @property
    def left_by_itself(self) -> bool:
        """Did it exit of its own accord, as far as its code tells?"""
        return self.exit_code is not None and not (
            self.signal or self.exit_code in _STOP_EXIT_CODES
        )

    def __str__(self) -> str:
        if self.signal:
            return f"its process was ended by signal {self.signal}"
        if self.ended_ns is None:
            return "its process was not seen to end"
        if self.exit_code is None:
            return "its process ended"
        return f"its process ended with code {self.exit_code}"


class _Ending:
    """The rules, in the order in which they are tried."""

    def __init__(
        self, steps: SessionSteps, findings: Sequence[Finding], now_ns: int | None
    ) -> None:
        self._calls = main_line(steps.calls)
        self._tools = sorted(steps.tools, key=lambda tool: tool.requested_ns)
        self._process = _root(steps)
        self._now_ns = now_ns
        self._last_ns = _last_ns(steps)
        self._kinds: dict[str, set[str]] = {}  # tool call id -> kinds of findings about it
        for finding in findings:
            for evidence in finding.evidence[:1]:
                if evidence.kind == "tool":
                    self._kinds.setdefault(evidence.id, set()).add(finding.kind)

    def told(self) -> _Said:
        """Outcome and reason."""
        if not self._calls:
            return "unknown", "no call to a model was seen"
        last = self._calls[-1]
        if last.status == "running":
            return self._under_way("the last call has not ended")
        if is_refusal(last.finish_reason, last.error_type):
            why = last.finish_reason or last.error_type
            return "refused", f"the last call was refused: {why}"
        if last.status == "error":
            return self._failed(last)
        if last.status == "incomplete":
            return self._cut(last)
        if finish_class(last.finish_reason) == "failure":
            return "failed", f"the last call ended with {last.finish_reason}"
        asked = [tool for tool in self._tools if tool.call_id == last.call_id]
        if asked or last.tool_call_count or finish_class(last.finish_reason) == "tool_use":
            return self._asked_tools(asked)
        if finish_class(last.finish_reason) == "limit":
            return "cut_off", f"the last answer reached a limit: {last.finish_reason}"
        return self._answered()

    def _under_way(self, what: str) -> _Said:
        if self._now_ns is not None and not self._process.ended_ns:
            if self._process.lives or self._now_ns - self._last_ns <= RECENT_NS:
                return "running", what
            return "cut_off", f"{what}, and nothing came for {RECENT_NS // 60_000_000_000} minutes"
        if self._process.lives:
            return "unknown", f"{what}, and then nothing more was watched"
        if self._process.crashed:
            return "failed", f"{what}, and {self._process}"
        return "cut_off", f"{what}, and {self._process}"

    def _failed(self, last: CallStep) -> _Said:
        failures = 0
        for call in reversed(self._calls):
            if call.status != "error":
                break
            failures += 1
        why = last.error_type or (str(last.http_status) if last.http_status else "an error")
        if failures > 1:
            return "failed", f"the last {failures} calls failed, the last one with {why}"
        return "failed", f"the last call failed with {why}"

    def _cut(self, last: CallStep) -> _Said:
        if last.lost_bytes:
            return "unknown", f"{last.lost_bytes} bytes of the last call were not captured"
        return "cut_off", f"the last answer broke off, and {self._process}"

    def _asked_tools(self, asked: list[ToolStep]) -> _Said:
        """The last answer asked for tools, and no call came after it."""
        for tool in asked:
            if _says_done(tool):
                return "completed", f"its last call was {tool.name}, which says that it is done"
        if any("handoff_human" in self._kinds.get(tool.tool_call_id, ()) for tool in asked):
            return "gave_up", "it handed over to a human and did no more"
        count = max(1, len(asked))
        what = f"{count} tool call{'s' * (count > 1)} of the last answer got no result"
        said = self._under_way(what)
        if said[0] == "cut_off" and self._process.left_by_itself:
            return "cut_off", f"{said[1]}: a limit of turns, or an error of the agent"
        return said

    def _answered(self) -> _Said:
        """The last answer asked for nothing more."""
        process = self._process
        if process.crashed or (process.left_by_itself and process.exit_code):
            return "failed", f"{process} after the last answer"
        if not self._tools:
            return "completed", "the model answered; it asked for no tools"
        last = self._tools[-1]
        kinds = self._kinds.get(last.tool_call_id, set())
        if "handoff_human" in kinds:
            return "gave_up", "it handed over to a human and did no more"
        if kinds & DENIED_KINDS:
            return "gave_up", f"its last tool call was refused ({min(kinds & DENIED_KINDS)})"
        failures = 0
        for tool in reversed(self._tools):
            if not fails(tool):
                break
            failures += 1
        if failures >= MIN_FAILURES_IN_A_ROW:
            return "gave_up", f"its last {failures} tool calls failed, then it tried no more"
        return "completed", "after its tool calls the model answered and asked for no more"


def _says_done(tool: ToolStep) -> bool:
    if markers().is_tool("done", tool.name):
        return True
    command = shell_command(tool)
    return command is not None and _DONE_COMMAND in command


def _root(steps: SessionSteps) -> _Process:
    """The last program of the process that made the session's calls."""
    pid, heard_ns = steps.session.root_pid, _last_ns(steps)
    programs: list[ProcessStep] = [
        process
        for process in steps.processes
        if process.pid == pid
        and process.session_id in (None, steps.session.session_id)
        and (process.started_ns or 0) <= heard_ns  # else the pid has another bearer by now
    ]
    if pid is None or not programs:
        return _Process()
    last = max(programs, key=lambda process: process.started_ns or 0)
    return _Process(last.ended_ns, last.exit_code, last.signal, known=True)


def _last_ns(steps: SessionSteps) -> int:
    """When the session was last heard of."""
    return max(
        (
            at_ns
            for call in steps.calls
            for at_ns in (call.started_ns, call.first_byte_ns, call.ended_ns)
            if at_ns is not None
        ),
        default=0,
    )


def _wall_ns(steps: SessionSteps) -> int | None:
    """From the first request to the end of the last answer, as far as it was seen."""
    if not steps.calls:
        return None
    return _last_ns(steps) - min(call.started_ns for call in steps.calls)
