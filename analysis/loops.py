"""Agents that go round in circles: the same calls with the same results.

In: tool steps, user turns and calls of sessions, or a plain list of calls. Out: findings of the
kinds `repeat`, `cycle`, `error_repeat`, `polling` and `agent_detected`, see
`analysis.loop_detector`. Other ways of going nowhere have modules of their own: `text_chants`,
`spirals`, `progress` and `runaways`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from analysis.loop_detector import (
    CRITICAL_REPEATS,
    MAX_PERIOD,
    MAX_POLLS,
    MIN_REPEATS,
    LoopDetector,
)
from analysis.steps import CallStep, Finding, ToolStep, UserTurn, tool_step

__all__ = [
    "CRITICAL_REPEATS",
    "LOOP_KINDS",
    "MAX_PERIOD",
    "MAX_POLLS",
    "MIN_REPEATS",
    "LoopDetector",
    "exact_repeats",
    "find_loops",
    "in_order",
    "loops",
]

LOOP_KINDS = frozenset(
    {
        "repeat",
        "cycle",
        "error_repeat",
        "text_chant",
        "compaction_spiral",
        "no_progress",
        "polling",
        "agent_detected",
    }
)


def loops(
    steps: Iterable[ToolStep], turns: Iterable[UserTurn] = (), calls: Iterable[CallStep] = ()
) -> list[Finding]:
    """The loops of all sessions, each session's in order of time."""
    by_id = {call.call_id: call for call in calls}
    detectors: dict[str, LoopDetector] = {}
    for step in in_order(steps, turns):
        detector = detectors.get(step.session_id)
        if detector is None:
            detector = detectors[step.session_id] = LoopDetector(step.session_id, by_id)
        detector.take(step)
    return [finding for detector in detectors.values() for finding in detector.findings]


def find_loops(calls: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """The loops in a plain list of tool calls, in order.

    Each call has `tool`, `arguments` (a dict, or the text that the model wrote) and `result` (a
    text, any JSON value, or None: not known), and may have `is_error`. The evidence of a finding
    names calls by their number in the list, from 0. Times and costs are not known here.
    """
    return [
        dataclasses.replace(
            finding,
            session_id=None,
            first_at_ns=None,
            last_at_ns=None,
            evidence=tuple(each for each in finding.evidence if each.kind == "tool"),
        )
        for finding in loops(_plain_step(call, number) for number, call in enumerate(calls))
    ]


def exact_repeats(calls: Iterable[Mapping[str, Any]]) -> list[bool]:
    """For each call of a list as for `find_loops`, from the second: is it the one before again?

    Results count where both are known.
    """
    steps = [_plain_step(call, number) for number, call in enumerate(calls)]
    return [
        (before.name, before.arguments_hash) == (after.name, after.arguments_hash)
        and (before.result_hash == after.result_hash or None in (before.result, after.result))
        for before, after in pairwise(steps)
    ]


def in_order(steps: Iterable[ToolStep], turns: Iterable[UserTurn]) -> list[ToolStep | UserTurn]:
    """Steps by request time and turns by arrival, a turn before a step of the same moment."""
    return sorted(
        [*turns, *steps], key=lambda s: s.at_ns if isinstance(s, UserTurn) else s.requested_ns
    )


def _plain_step(call: Mapping[str, Any], number: int) -> ToolStep:
    is_error = call.get("is_error")
    return tool_step(
        str(number),
        str(call.get("tool") or ""),
        _text(call.get("arguments")) or "",
        _text(call.get("result")),
        call_id=str(number),
        is_error=is_error if isinstance(is_error, bool) else None,
        requested_ns=number,
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value, default=str)
    except (ValueError, RecursionError, TypeError):
        return str(type(value))
