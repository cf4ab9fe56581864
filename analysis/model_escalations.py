"""Sessions that move to a stronger model.

In: the LLM calls of a session. Out: findings of kind `model_escalation`, one each time that the
session's main line of calls is answered by a model stronger than any before. Which calls are of
the main line is told by the tools that they offer: those that offer the same set. Helper calls
(titles, summaries, quota checks) offer none or others. In a session without tools, a model must
have answered twice before another replaces it, or be asked the very same messages again.
"""

from __future__ import annotations

from collections.abc import Iterable

from analysis.model_strength import is_stronger, same_model
from analysis.operations import ANSWERING
from analysis.steps import CallStep, Evidence, Finding

_ANSWERED = frozenset({"ok", "incomplete"})
_MIN_CALLS_WITHOUT_TOOLS = 2
"""A title is one call of a small model; two of it are a conversation."""


def model_escalations(calls: Iterable[CallStep]) -> list[Finding]:
    """Findings in order of time. A move back to a model used before is none."""
    lines: dict[tuple[str, str | None, str | None], list[CallStep]] = {}
    answered = [
        call
        for call in sorted(calls, key=lambda call: call.started_ns)
        if call.status in _ANSWERED and call.model is not None and call.operation in ANSWERING
    ]
    with_tools = {call.session_id for call in answered if call.tool_set is not None}
    for call in answered:
        if call.tool_set is None and call.session_id in with_tools:
            continue
        lines.setdefault((call.session_id, call.agent, call.tool_set), []).append(call)
    found = [finding for line in lines.values() for finding in _of_line(line)]
    return sorted(found, key=lambda finding: finding.first_at_ns or 0)


def _of_line(calls: list[CallStep]) -> Iterable[Finding]:
    strongest: CallStep | None = None  # the latest call of the strongest model so far
    uses: dict[str, int] = {}
    before: CallStep | None = None
    for call in calls:
        model = call.model or ""
        uses[model] = uses.get(model, 0) + 1
        if strongest is None or same_model(model, strongest.model or ""):
            strongest = call
        elif _stronger(call, strongest):
            assert before is not None
            asked_again = call.input_node is not None and call.input_node == before.input_node
            settled = uses.get(before.model or "", 0) >= _MIN_CALLS_WITHOUT_TOOLS
            if call.tool_set is not None or asked_again or settled:
                yield _finding(before, call)
            strongest = call
        before = call


def _stronger(call: CallStep, than: CallStep) -> bool:
    return bool(
        is_stronger(
            call.model or "",
            than.model or "",
            provider=call.provider,
            than_provider=than.provider,
            at_s=call.started_ns / 1e9,
        )
    )


def _finding(before: CallStep, call: CallStep) -> Finding:
    return Finding(
        kind="model_escalation",
        session_id=call.session_id,
        severity="info",
        first_at_ns=call.started_ns,
        last_at_ns=call.started_ns if call.ended_ns is None else call.ended_ns,
        title=f"The session moved to a stronger model: from {before.model} to {call.model}",
        evidence=tuple(
            Evidence("call", one.call_id, note, one.started_ns, one.pid or None)
            for one, note in (
                (before, f"answered by {before.model}"),
                (call, f"the next call of the same line, answered by {call.model}"),
            )
        ),
    )
