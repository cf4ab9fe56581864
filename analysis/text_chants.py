"""Models that chant: the same long text in answer after answer, or again and again in one.

In: what the model said, by call, and user turns. Out: findings of the kind `text_chant`. Tool
calls are `analysis.loops`' concern: an answer that differs only in these is the same answer here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from analysis.steps import CallStep, Evidence, Finding, Severity, UserTurn
from analysis.waste import Waste
from collector.normalisation import SAMPLE_CHARS, result_hash

MIN_CHARS = 60
"""A shorter answer ("Let me check.", "Done.") may come often."""
MIN_ANSWERS = 3
"""As many as make a `repeat`."""
CRITICAL_ANSWERS = 10
CHUNK_CHARS = 50
MIN_UNITS = 10
"""Fifty characters, ten times: the rule by which gemini-cli stops a stream."""
MAX_UNIT_CHARS = 2000
MIN_LETTERS = 5
"""A chunk with fewer different letters and digits is a divider or padding."""
MAX_EVIDENCE = 30

_FENCED = re.compile(r"^\s*(`{3,}|~{3,}).*?(?:^\s*\1[`~]*\s*$|\Z)", re.DOTALL | re.MULTILINE)
_TABLE_ROW = re.compile(r"^\s*\|.*$", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class AssistantText:
    """The text of one answer, all its parts together, without thinking and tool calls."""

    session_id: str
    call_id: str
    at_ns: int
    text: str


@dataclass(slots=True)
class _Same:
    """Answers in a row with the same text."""

    text_hash: str
    first: AssistantText
    last: AssistantText
    count: int = 1
    evidence: list[Evidence] = field(default_factory=list)
    waste: Waste = field(default_factory=Waste)


def text_chants(
    said: Iterable[AssistantText],
    turns: Iterable[UserTurn] = (),
    calls: Iterable[CallStep] = (),
) -> list[Finding]:
    """The chants of all sessions, by session, in order of time. A user's message begins anew."""
    by_id = {call.call_id: call for call in calls}
    found: list[Finding] = []
    running: dict[str, _Same] = {}
    steps: list[AssistantText | UserTurn] = [*turns, *said]
    for step in sorted(steps, key=lambda step: step.at_ns):
        if isinstance(step, UserTurn):
            _end(running.pop(step.session_id, None), found)
            continue
        if len(step.text) < MIN_CHARS:
            continue  # most often a tool call without words
        unit = repeated_unit(step.text)
        if unit is not None:
            found.append(_in_one_answer(step, *unit))
        same = running.get(step.session_id)
        text_hash = result_hash(_SPACE.sub(" ", step.text).casefold())
        if same is None or same.text_hash != text_hash:
            _end(same, found)
            running[step.session_id] = _Same(text_hash, step, step, evidence=[_evidence(step)])
            continue
        same.last = step
        same.count += 1
        same.waste.add(by_id.get(step.call_id))
        if len(same.evidence) < MAX_EVIDENCE:
            same.evidence.append(_evidence(step))
    for same in running.values():
        _end(same, found)
    return sorted(found, key=lambda finding: (finding.session_id or "", finding.first_at_ns or 0))


def repeated_unit(text: str) -> tuple[str, int] | None:
    """A passage that comes at least `MIN_UNITS` times on end, and how often; None: there is none.

    Code blocks and rows of tables do not count, all numbers count as the same. Linear in the
    length of the text, of which the first and last `SAMPLE_CHARS` are looked at.
    """
    if len(text) > 2 * SAMPLE_CHARS:
        text = text[:SAMPLE_CHARS] + text[-SAMPLE_CHARS:]
    text = _TABLE_ROW.sub("", _FENCED.sub("", text))
    text = _SPACE.sub(" ", _NUMBER.sub("#", text))
    position, limit = 0, len(text) - (MIN_UNITS - 1) * 2
    while position + CHUNK_CHARS <= limit:
        chunk = text[position : position + CHUNK_CHARS]
        unit_chars = _unit_chars(text, position, chunk)
        if unit_chars is None:
            position += CHUNK_CHARS
            continue
        unit = text[position : position + unit_chars]
        units = 1
        while text.startswith(unit, position + units * unit_chars):
            units += 1
        if units * unit_chars >= MIN_UNITS * CHUNK_CHARS and units >= MIN_UNITS:
            return unit, units
        position += max(CHUNK_CHARS, (units - 1) * unit_chars)
    return None


def _unit_chars(text: str, position: int, chunk: str) -> int | None:
    if len(set(filter(str.isalnum, chunk))) < MIN_LETTERS:
        return None
    again = text.find(chunk, position + 1, position + MAX_UNIT_CHARS + CHUNK_CHARS)
    return None if again < 0 else again - position


def _end(same: _Same | None, found: list[Finding]) -> None:
    if same is None or same.count < MIN_ANSWERS:
        return
    severity: Severity = "critical" if same.count >= CRITICAL_ANSWERS else "warning"
    found.append(
        Finding(
            kind="text_chant",
            session_id=same.first.session_id,
            severity=severity,
            first_at_ns=same.first.at_ns,
            last_at_ns=same.last.at_ns,
            title=f"{same.count} answers in a row said the same",
            evidence=tuple(same.evidence),
            count=same.count,
            wasted_tokens=same.waste.tokens,
            wasted_usd=same.waste.usd,
        )
    )


def _in_one_answer(step: AssistantText, unit: str, times: int) -> Finding:
    """What its tokens would have been without the chant is not known, so no waste is stated."""
    return Finding(
        kind="text_chant",
        session_id=step.session_id,
        severity="warning",
        first_at_ns=step.at_ns,
        last_at_ns=step.at_ns,
        title=f"One answer said the same {len(unit)} characters {times} times on end",
        evidence=(_evidence(step),),
        count=times,
    )


def _evidence(step: AssistantText) -> Evidence:
    return Evidence("call", step.call_id, f"answer of {len(step.text)} characters", step.at_ns)
