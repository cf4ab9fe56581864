"""Contexts that were compacted: what was dropped, what it cost, and what was read again after it.

In: the calls and tool calls of one session, and its `ContextUseRow`s, which say where a compaction
lies (`analysis.context_lineage` tells how). Out: findings of the kinds

- `compaction`: the context was exchanged for a shorter one. Its waste is the call that wrote the
  summary;
- `lost_context`: so it was, and nothing stands for what was dropped;
- `reread`: what was read before a compaction was read again after it, and no edit in between
  explains that. Its waste is estimated: the share of the request's bytes that the result is, of
  the request's tokens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from analysis.derived import ContextUseRow
from analysis.effects import fails
from analysis.file_reads import changed_path, looks, parsed, read_path
from analysis.steps import CallStep, Evidence, Finding, SessionSteps, Severity, ToolStep

COMPACTION_KINDS = frozenset({"compaction", "reread", "lost_context"})
REREAD_CALLS = 20
"""A file read again after more calls than that is read for another reason."""
MANY_REREADS = 3
MAX_EVIDENCE = 30
_TOOLS_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Compaction:
    """One compaction; `requests` are the calls that were to write the summary, of which clients
    repeat some, `after` the first behind them."""

    requests: tuple[CallStep, ...]
    after: CallStep | None
    row: ContextUseRow  # of `after`, else of the last request

    @property
    def calls(self) -> tuple[CallStep, ...]:
        """All of them."""
        return self.requests if self.after is None else (*self.requests, self.after)


@dataclass(slots=True)
class _Rereads:
    """What was read again after one compaction."""

    steps: list[tuple[ToolStep, ToolStep]] = field(default_factory=list)  # before and again
    tokens: int | None = 0


def compactions(steps: SessionSteps, uses: Sequence[ContextUseRow]) -> list[Finding]:
    """The findings, in order of time. `uses`: what `context_uses` says of the same session."""
    calls = sorted(steps.calls, key=lambda call: (call.started_ns, call.call_id))
    by_id = {call.call_id: call for call in calls}
    rows = sorted(uses, key=lambda row: row.position)
    found = []
    every = list(_compactions(rows, by_id))
    by_call = {row.call_id: row for row in rows}
    reading = _looks(steps.tools) if every else []
    for number, one in enumerate(every):
        found.append(_compaction_finding(one))
        if one.after is not None:
            until = next((later.after for later in every[number + 1 :] if later.after), None)
            found += _rereads(one.after, until, calls, reading, by_call)
    return sorted(found, key=lambda finding: finding.first_at_ns or 0)


def _compactions(
    rows: Iterable[ContextUseRow], calls: dict[str, CallStep]
) -> Iterator[_Compaction]:
    """Summaries that were asked for belong to the exchange of the context that follows, unless
    the whole list goes on instead."""
    requests: list[ContextUseRow] = []

    def asked() -> tuple[CallStep, ...]:
        return tuple(calls[row.call_id] for row in requests)

    for row in rows:
        call = calls.get(row.call_id)
        if call is None:
            continue
        if row.compaction == "request":
            requests.append(row)
        elif row.compaction is not None:
            yield _Compaction(asked(), call, row)
            requests = []
        elif requests and row.messages >= requests[-1].messages - 1:
            yield _Compaction(asked(), None, requests[-1])
            requests = []
    if requests:
        yield _Compaction(asked(), None, requests[-1])


def _compaction_finding(one: _Compaction) -> Finding:
    dropped = _part(one.row, "dropped")
    lost = dropped.get("summarised") is False
    evidence = [_call_evidence(call, "asked for a summary") for call in one.requests[:MAX_EVIDENCE]]
    if one.after is not None:
        before = dropped.get("call_id")
        if isinstance(before, str) and before not in {call.call_id for call in one.requests}:
            evidence.append(Evidence("call", before, "last with the whole context"))
        evidence.append(_call_evidence(one.after, "first with the shorter context"))
    severity: Severity = "warning" if lost else "info"
    last = one.calls[-1]
    tokens = [call.tokens for call in one.requests]
    costs = [call.cost_usd for call in one.requests]
    return Finding(
        kind="lost_context" if lost else "compaction",
        session_id=one.row.session_id,
        severity=severity,
        first_at_ns=one.calls[0].started_ns,
        last_at_ns=last.started_ns if last.ended_ns is None else last.ended_ns,
        title=_title(one, dropped, lost),
        evidence=tuple(evidence),
        wasted_tokens=sum(filter(None, tokens)) if any(tokens) else None,
        wasted_usd=sum(filter(None, costs)) if any(costs) else None,
    )


def _title(one: _Compaction, dropped: dict[str, Any], lost: bool) -> str:
    if one.after is None:
        return "The client asked for a summary of the context"
    what = "Part of the context was cut off" if lost else "The context was compacted"
    size = one.row.dropped_bytes
    if size is None:
        return what
    messages = dropped.get("messages")
    title = f"{what}: {messages} messages ({_kilobytes(size)}) gone"
    tools = dropped.get("tools")
    if isinstance(tools, dict) and tools:
        named = [f"{name} {_kilobytes(count)}" for name, count in tools.items()][:_TOOLS_NAMED]
        title += f", of it results of {', '.join(named)}"
    return title


@dataclass(frozen=True, slots=True)
class _Look:
    """A tool call that reads (`key` is equal for those that read the same; it ends with the path,
    if there is one) or that changes a file."""

    tool: ToolStep
    key: tuple[str, ...] | None
    changed: str | None


def _looks(tools: Iterable[ToolStep]) -> list[_Look]:
    found = []
    for tool in sorted(tools, key=lambda tool: tool.requested_ns):
        arguments = parsed(tool.arguments)
        changed = changed_path(tool.name, arguments)
        if changed is not None:
            if not fails(tool):
                found.append(_Look(tool, None, changed))
        elif (key := _key(tool, arguments)) is not None:
            found.append(_Look(tool, key, None))
    return found


def _rereads(
    after: CallStep,
    until: CallStep | None,
    calls: Sequence[CallStep],
    tools: Sequence[_Look],
    rows: dict[str, ContextUseRow],
) -> Iterator[Finding]:
    """What the calls from `after` on read again; at most `REREAD_CALLS` of them."""
    first = bisect_left(calls, after.started_ns, key=lambda call: call.started_ns)
    soon = calls[first : first + REREAD_CALLS]
    asked = {call.call_id for call in soon if until is None or call.started_ns < until.started_ns}
    before: dict[tuple[str, ...], ToolStep] = {}
    changed: set[str] = set()
    again = _Rereads()
    brought = Counter((look.tool.name, look.tool.result_call_id) for look in tools)
    for look in tools:
        tool, key = look.tool, look.key
        if key is None:
            changed.add(look.changed or "")
        elif tool.requested_ns < after.started_ns:
            if tool.result_hash is not None:
                before[key] = tool
                changed.discard(key[-1])
        elif tool.call_id in asked and key in before and key[-1] not in changed:
            again.steps.append((before[key], tool))
            alone = brought[tool.name, tool.result_call_id] == 1
            tokens = _share(tool, key[-1], rows, alone=alone)
            known = again.tokens is not None and tokens is not None
            again.tokens = (again.tokens or 0) + (tokens or 0) if known else None
    if again.steps:
        yield _reread_finding(after, again)


def _key(tool: ToolStep, arguments: Any) -> tuple[str, ...] | None:
    """What is equal for calls that read the same; the last part is a path, if there is one."""
    path = read_path(tool.name, arguments)
    if path is not None:
        return ("path", path) if _reads_whole(arguments) else (tool.arguments_hash, path)
    if looks(tool.name, tool.arguments):
        return (tool.name, tool.arguments_hash)
    return None


def _reads_whole(arguments: Any) -> bool:
    """Is no part of the file asked for, as far as the arguments say?"""
    parts = ("offset", "limit", "start_line", "end_line", "view_range", "line_start", "line_end")
    return isinstance(arguments, dict) and not any(arguments.get(part) for part in parts)


def _share(tool: ToolStep, path: str, rows: dict[str, ContextUseRow], *, alone: bool) -> int | None:
    """Tokens of the result: its share of the request that brought it, by bytes. `alone`: the
    request brought no other result of that tool."""
    row, earlier = rows.get(tool.result_call_id or ""), rows.get(tool.call_id)
    if row is None or earlier is None or not row.total_bytes or row.input_tokens is None:
        return None
    for part, name in (("files", path), ("tools", tool.name if alone else "")):
        now, then = _part(row, part).get(name), _part(earlier, part).get(name, 0)
        if isinstance(now, int) and isinstance(then, int) and now > then:
            return round((now - then) / row.total_bytes * row.input_tokens)
    return None


def _reread_finding(after: CallStep, again: _Rereads) -> Finding:
    count = len(again.steps)
    names = list(dict.fromkeys(_what(tool) for _, tool in again.steps))
    title = f"Read again after the context was compacted: {', '.join(names[:_TOOLS_NAMED])}"
    if len(names) > _TOOLS_NAMED:
        title += f" and {len(names) - _TOOLS_NAMED} more"
    evidence = [_call_evidence(after, "first with the shorter context")]
    for before, tool in again.steps[: MAX_EVIDENCE // 2]:
        evidence.append(_tool_evidence(before, "read before"))
        evidence.append(_tool_evidence(tool, "read again"))
    last = again.steps[-1][1]
    return Finding(
        kind="reread",
        session_id=after.session_id,
        severity="warning" if count >= MANY_REREADS else "info",
        first_at_ns=again.steps[0][1].requested_ns,
        last_at_ns=last.requested_ns if last.result_ns is None else last.result_ns,
        title=title,
        evidence=tuple(evidence),
        count=count,
        wasted_tokens=again.tokens,
    )


def _what(tool: ToolStep) -> str:
    path = read_path(tool.name, parsed(tool.arguments))
    return tool.name if path is None else path


def _part(row: ContextUseRow, name: str) -> dict[str, Any]:
    found = orjson.loads(row.parts).get(name)
    return found if isinstance(found, dict) else {}


def _call_evidence(call: CallStep, note: str) -> Evidence:
    return Evidence("call", call.call_id, note, call.started_ns, call.pid or None)


def _tool_evidence(tool: ToolStep, note: str) -> Evidence:
    return Evidence("tool", tool.tool_call_id, f"{tool.name}, {note}", tool.requested_ns)


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.1f} kB" if size < 100_000 else f"{size / 1000:,.0f} kB"
