"""Where the time of a session went, turn by turn.

In: the calls, tool calls and user turns of one session, and when the parts of each answer came.
Out: `TurnTimeRow`s, which follow each other without holes from the session's first event to its
last known one and whose parts sum to the wall time, to the nanosecond, whatever the clocks say.

Every moment counts once. What goes on at the same time is settled in this order:

1. generation: some answer is being written;
2. stall: an answer has begun and says nothing for long, see `stalls`;
3. queue: a request waits for its first token. An answer that is not streamed is all queue up to
   its first byte, since its generation cannot be told from waiting;
4. retry: a failed call, and the wait for the call that repeats it;
5. tools: from a tool call to the request that brought its result;
6. human: a tool call that waited for a human, or an answer without tool calls until the user's
   next message;
7. idle: nothing of all that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from analysis.derived import TurnTimeRow
from analysis.escalations import tool_escalation
from analysis.markers import markers
from analysis.steps import CallStep, SessionSteps, ToolStep

STALL_FACTOR = 8
"""A stall is so many times longer than the median gap of its answer."""
MIN_STALL_NS = 1_000_000_000
"""Below a second nobody notices, however fast the rest came."""
SAME_PACKET_NS = 1_000_000
"""Parts that came closer together came in one packet: their distance says nothing of the model."""

_PARTS = ("generation", "stall", "queue", "retry", "tools", "human", "idle")
_IDLE = len(_PARTS) - 1
_ANSWERS = frozenset({"chat", "text_completion", "generate_content"})
_HUMAN_KINDS = ("human_", "plan_")
_NO_GAPS: Mapping[str, Sequence[int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time and what it is, by its place in the order above."""

    start_ns: int
    end_ns: int
    part: int


def turn_times(
    steps: SessionSteps, gaps: Mapping[str, Sequence[int]] = _NO_GAPS
) -> list[TurnTimeRow]:
    """The turns of a session, in order; none when it has no call.

    `gaps[call_id]` is when each part of that answer came, in nanoseconds from the call's start.
    A turn begins with the request that first carried what the user said; the first begins with
    the session. Summaries that clients ask for and write in the user's name begin none. What
    still runs counts up to the last known event.
    """
    if not steps.calls:
        return []
    calls = sorted(steps.calls, key=lambda call: (call.started_ns, call.call_id))
    first_ns, last_ns = _extent(calls, steps.tools, gaps)
    borders = [first_ns, *_turn_starts(steps, calls, first_ns, last_ns), last_ns]
    intervals = [
        *_model(calls, gaps, last_ns),
        *_retries(calls, last_ns),
        *_tools(steps.tools, calls, last_ns),
        *_until_next_message(calls, borders[1:-1]),
    ]
    spent = _sweep(intervals, borders)
    counts = [0] * len(spent)
    turn = 0
    for call in calls:
        while turn + 1 < len(counts) and call.started_ns >= borders[turn + 1]:
            turn += 1
        counts[turn] += 1
    return [
        TurnTimeRow(
            session_id=steps.session.session_id,
            turn=number,
            first_ns=start,
            last_ns=end,
            calls=counts[number],
            **{f"{part}_ns": ns for part, ns in zip(_PARTS, parts, strict=True)},
        )
        for number, ((start, end), parts) in enumerate(zip(pairwise(borders), spent, strict=True))
    ]


def stalls(offsets: Sequence[int], end_ns: int) -> list[tuple[int, int]]:
    """Gaps that are long for this answer: longer than `STALL_FACTOR` times its median gap, and
    than `MIN_STALL_NS`. The silence before its end may be one, too.

    `offsets` are when its parts came and `end_ns` its end, all from one moment. The median is the
    lower one of two, over gaps of at least `SAME_PACKET_NS`; an answer without two such gaps has
    no usual pace and no stall.
    """
    came = sorted(min(max(offset, 0), end_ns) for offset in offsets)
    usual = sorted(gap for a, b in pairwise(came) if (gap := b - a) >= SAME_PACKET_NS)
    if len(usual) < 2:
        return []
    limit = max(MIN_STALL_NS, STALL_FACTOR * usual[(len(usual) - 1) // 2])
    return [(a, b) for a, b in pairwise([*came, end_ns]) if b - a > limit]


def _extent(
    calls: Sequence[CallStep], tools: Iterable[ToolStep], gaps: Mapping[str, Sequence[int]]
) -> tuple[int, int]:
    """The first and the last known moment."""
    first = min(call.started_ns for call in calls)
    known = [first]
    for call in calls:
        known += [
            at
            for at in (call.started_ns, call.first_byte_ns, call.first_token_ns, call.ended_ns)
            if at is not None
        ]
        known += [call.started_ns + offset for offset in gaps.get(call.call_id, ())]
    for tool in tools:
        known += [at for at in (tool.requested_ns, tool.result_ns) if at is not None]
    return first, max(known)


def _turn_starts(
    steps: SessionSteps, calls: Sequence[CallStep], first_ns: int, last_ns: int
) -> list[int]:
    """When each turn but the first began."""
    started = {call.call_id: call.started_ns for call in calls}
    said = [
        started.get(turn.call_id, turn.at_ns)
        for turn in steps.turns
        if markers().of_compaction(turn.text) is None
    ]
    starts = sorted({at for at in said if first_ns <= at <= last_ns})
    return starts[1:]


def _end(call: CallStep, last_ns: int) -> int:
    ended = last_ns if call.ended_ns is None else call.ended_ns
    return max(ended, call.started_ns)


def _failed(call: CallStep, repeated: Mapping[str, CallStep]) -> bool:
    """An answer that was cut and is not asked for again counts as the model's work."""
    return call.status == "error" or (call.status == "incomplete" and call.call_id in repeated)


def _repeated(calls: Iterable[CallStep]) -> dict[str, CallStep]:
    """Calls that repeat another, by the id of that other."""
    repeated: dict[str, CallStep] = {}
    for call in calls:
        if call.retry_of is not None:
            repeated.setdefault(call.retry_of, call)
    return repeated


def _model(
    calls: Sequence[CallStep], gaps: Mapping[str, Sequence[int]], last_ns: int
) -> Iterator[Interval]:
    repeated = _repeated(calls)
    for call in calls:
        if _failed(call, repeated):
            continue
        start, end = call.started_ns, _end(call, last_ns)
        token = call.first_token_ns if call.stream else None
        begun = call.first_byte_ns if token is None else token
        begun = end if begun is None else min(max(begun, start), end)
        yield Interval(start, begun, 2)
        at = begun
        for a, b in stalls(gaps.get(call.call_id, ()), end - start):
            yield Interval(at, start + a, 0)
            yield Interval(max(at, start + a), start + b, 1)
            at = max(at, start + b)
        yield Interval(at, end, 0)


def _retries(calls: Sequence[CallStep], last_ns: int) -> Iterator[Interval]:
    """Failed calls and the time until they are repeated. A call that nothing is known to repeat
    is waited for as long as the provider asked, at most until the session goes on."""
    repeated = _repeated(calls)
    for position, call in enumerate(calls):
        if not _failed(call, repeated):
            continue
        end = _end(call, last_ns)
        yield Interval(call.started_ns, end, 3)
        again = repeated.get(call.call_id)
        if again is not None:
            yield Interval(end, again.started_ns, 3)
        elif call.retry_after_s is not None and 0 < call.retry_after_s < 1e9:
            asked = end + int(call.retry_after_s * 1e9)
            on = calls[position + 1].started_ns if position + 1 < len(calls) else last_ns
            yield Interval(end, min(asked, on), 3)


def _tools(
    tools: Iterable[ToolStep], calls: Sequence[CallStep], last_ns: int
) -> Iterator[Interval]:
    """From a tool call to its result; without one, until the next request of the session, which
    did not bring it, or the last known event."""
    starts = [call.started_ns for call in calls if call.operation in _ANSWERS]
    for tool in tools:
        end = tool.result_ns
        if end is None:
            later = bisect_right(starts, tool.requested_ns)
            end = starts[later] if later < len(starts) else last_ns
        finding = tool_escalation(tool)
        waited = finding is not None and finding.kind.startswith(_HUMAN_KINDS)
        yield Interval(tool.requested_ns, end, 5 if waited else 4)


def _until_next_message(calls: Sequence[CallStep], messages: Sequence[int]) -> Iterator[Interval]:
    """From the end of an answer without tool calls to the user's next message."""
    ended = sorted(
        (max(call.ended_ns, call.started_ns), call.tool_call_count)
        for call in calls
        if call.ended_ns is not None and call.operation in _ANSWERS
    )
    position, last = 0, None
    for at in messages:
        while position < len(ended) and ended[position][0] <= at:
            last = ended[position]
            position += 1
        if last is not None and not last[1]:
            yield Interval(last[0], at, 5)


def _sweep(intervals: Iterable[Interval], borders: Sequence[int]) -> list[list[int]]:
    """Nanoseconds of each part between each border and the next; every moment counts once."""
    first, last = borders[0], borders[-1]
    changes: list[tuple[int, int, int]] = []
    for one in intervals:
        start, end = max(one.start_ns, first), min(one.end_ns, last)
        if start < end:
            changes += [(start, one.part, 1), (end, one.part, -1)]
    changes += [(border, _IDLE, 0) for border in borders]
    changes.sort()
    spent = [[0] * len(_PARTS) for _ in borders[1:]]
    running = [0] * len(_PARTS)
    running[_IDLE] = 1
    at, turn = first, 0
    for moment, part, change in changes:
        if moment > at:
            while turn + 1 < len(spent) and at >= borders[turn + 1]:
                turn += 1
            now = next(each for each, count in enumerate(running) if count)
            spent[turn][now] += moment - at
            at = moment
        running[part] += change
    return spent
