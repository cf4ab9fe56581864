"""Work that two actors did twice: the same costly tool calls, or the same many files read.

In: `Actor`s, `ToolStep`s and `FileStep`s. Out: findings of the kind `duplicate_work`, one for each
pair. Only what is plain counts: the same tool with the same arguments and the same result, where
neither actor changed a file in between (then it may have been done again with reason), and that
took long, or many such calls; or files read a few at a time, as by a model, not swept by a search.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.actors import Actor, Actors
from analysis.effects import edits, fails, waits
from analysis.lock_files import short_path
from analysis.steps import Evidence, FileStep, Finding, ToolStep

COSTLY_NS = 10_000_000_000
"""From request to result: longer than reading or searching files takes."""
MIN_RESULT_CHARS = 200
"""Shorter results of quick calls (ok, a path, a date) agree by chance."""
MIN_CALLS = 10
"""So many equal calls of two actors are the same work, though each one was cheap."""
MIN_FILES = 20
MIN_SHARE = 0.5
"""Of the smaller one's calls or files that have to be the same."""
WINDOW_NS = 3_600_000_000_000
"""Later, the world may have changed."""
SWEEP_PAUSE_NS = 200_000_000
SWEEP_FILES = 10
"""More files than this, none later than the pause after the one before, are a search's sweep."""
MAX_RIVALS = 4
"""Of the actors that did the same before, the last ones are looked at."""
MAX_EVIDENCE = 20
_SYSTEM = re.compile(
    r"^/(?:usr|lib\w*|bin|sbin|etc|proc|sys|dev|run|opt|snap|boot)/"
    r"|/(?:\.git|node_modules|site-packages|__pycache__|\.venv|\.cache)/"
)
_Pair = tuple[Actor, Actor]


@dataclass(frozen=True, slots=True)
class _Same:
    first: ToolStep
    again: ToolStep

    @property
    def took_ns(self) -> int:
        return min(_took_ns(self.first), _took_ns(self.again))


def duplicate_calls(
    actors: Sequence[Actor], tools: Iterable[ToolStep], files: Iterable[FileStep] = ()
) -> list[Finding]:
    """Pairs that made the same costly tool calls. `files` tell what either one wrote meanwhile."""
    known = Actors(actors)
    calls = sorted(
        (step for step in tools if known.of_session(step.session_id) is not None),
        key=lambda step: (step.requested_ns, step.tool_call_id),
    )
    changes = _changes(known, calls, files)
    made: defaultdict[tuple[str, str, str], deque[tuple[Actor, ToolStep]]] = defaultdict(
        lambda: deque(maxlen=MAX_RIVALS)
    )
    pairs: defaultdict[tuple[str, str], list[_Same]] = defaultdict(list)
    distinct: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    of: dict[str, Actor] = {actor.actor_id: actor for actor in actors}
    for step in calls:
        actor = known.of_session(step.session_id)
        if actor is None or not _comparable(step):
            continue
        distinct[actor.actor_id].add((step.name, step.arguments_hash))
        before = made[step.name, step.arguments_hash, step.result_hash or ""]
        for other, earlier in before:
            if (
                other is not actor
                and step.requested_ns - earlier.requested_ns <= WINDOW_NS
                and not _changed(changes, (actor, other), earlier, step)
            ):
                pairs[other.actor_id, actor.actor_id].append(_Same(earlier, step))
        if not any(other is actor for other, _ in before):
            before.append((actor, step))
    findings: list[Finding] = []
    for (first, second), found in pairs.items():
        smaller = min(len(distinct[first]), len(distinct[second]))
        many = len(found) >= MIN_CALLS and len(found) >= MIN_SHARE * smaller
        costly = found if many else [same for same in found if same.took_ns >= COSTLY_NS]
        if costly:
            findings.append(_of_calls((of[first], of[second]), costly))
    return findings


def duplicate_reads(actors: Sequence[Actor], files: Iterable[FileStep]) -> list[Finding]:
    """Pairs that read the same many files of their work, one after the other."""
    known = Actors(actors)
    reads: dict[str, dict[str, FileStep]] = {actor.actor_id: {} for actor in actors}
    of: dict[str, Actor] = {actor.actor_id: actor for actor in actors}
    for step in _deliberate(known, files):
        actor = known.of_file(step)
        if actor is not None:
            reads[actor.actor_id].setdefault(step.path, step)
    readers: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for actor_id, paths in reads.items():
        for path, step in paths.items():
            readers[path].append((step.first_ns, actor_id))
    pairs: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for path, times in readers.items():
        times.sort()
        for number, (at_ns, actor_id) in enumerate(times):
            for before_ns, other in times[max(0, number - MAX_RIVALS) : number]:
                if at_ns - before_ns <= WINDOW_NS:
                    pairs[other, actor_id].append(path)
    findings: list[Finding] = []
    for (first, second), found in pairs.items():
        both = found + pairs.get((second, first), [])
        smaller = min(len(reads[first]), len(reads[second]))
        if len(both) < MIN_FILES or len(both) < MIN_SHARE * smaller:
            continue
        if len(found) * 2 > len(both) or (len(found) * 2 == len(both) and first < second):
            findings.append(_of_reads((of[first], of[second]), sorted(both), reads))
    return findings


def _comparable(step: ToolStep) -> bool:
    return (
        step.result_hash is not None
        and step.arguments is not None
        and (len(step.result or "") >= MIN_RESULT_CHARS or _took_ns(step) >= COSTLY_NS)
        and not (waits(step) is not False or edits(step) or fails(step))
    )


def _took_ns(step: ToolStep) -> int:
    return 0 if step.result_ns is None else step.result_ns - step.requested_ns


def _changes(
    actors: Actors, tools: Iterable[ToolStep], files: Iterable[FileStep]
) -> Mapping[str, list[int]]:
    """When each actor changed files, in order."""
    changes: defaultdict[str, list[int]] = defaultdict(list)
    for tool in tools:
        actor = actors.of_session(tool.session_id)
        if actor is not None and edits(tool):
            changes[actor.actor_id].append(tool.requested_ns)
    for file in files:
        actor = actors.of_file(file)
        if actor is not None and file.writes and not _SYSTEM.search(file.path):
            changes[actor.actor_id] += (file.first_ns, file.last_ns)
    for times in changes.values():
        times.sort()
    return changes


def _changed(
    changes: Mapping[str, list[int]], pair: _Pair, earlier: ToolStep, later: ToolStep
) -> bool:
    """Did either of them change a file between one call's end and the other's begin?"""
    start = earlier.result_ns or earlier.requested_ns
    for actor in pair:
        times = changes.get(actor.actor_id, [])
        if bisect_left(times, start) < bisect_right(times, later.requested_ns):
            return True
    return False


def _deliberate(actors: Actors, files: Iterable[FileStep]) -> list[FileStep]:
    """Reads of files of the work, without those of sweeps."""
    bursts: dict[str, list[FileStep]] = {}
    found: list[FileStep] = []
    for step in sorted(files, key=lambda step: (step.first_ns, step.file_event_id)):
        if step.operation != "open" or step.access != "read" or step.error is not None:
            continue
        actor = actors.of_file(step)
        if actor is None or _SYSTEM.search(step.path):
            continue
        burst = bursts.setdefault(actor.actor_id, [])
        if burst and step.first_ns - burst[-1].first_ns > SWEEP_PAUSE_NS:
            found += burst if len(burst) <= SWEEP_FILES else ()
            burst.clear()
        burst.append(step)
    for burst in bursts.values():
        found += burst if len(burst) <= SWEEP_FILES else ()
    return found


def _of_calls(pair: _Pair, found: Sequence[_Same]) -> Finding:
    first, second = pair
    names = ", ".join(dict.fromkeys(same.again.name for same in found))
    took_ns = sum(_took_ns(same.again) for same in found)
    what = f"{len(found)} tool calls" if len(found) > 1 else "a tool call"
    evidence: list[Evidence] = []
    for same in found[: (MAX_EVIDENCE - 1) // 2]:
        for actor, step in ((first, same.first), (second, same.again)):
            note = f"{actor.label}: {step.name}, {_took_ns(step) / 1e9:.1f} s"
            evidence.append(Evidence("tool", step.tool_call_id, note, step.requested_ns))
    evidence.insert(1, Evidence("session", first.session_id, f"{first.label} did it first"))
    return Finding(
        kind="duplicate_work",
        session_id=second.session_id,
        severity="info",
        first_at_ns=min(same.first.requested_ns for same in found),
        last_at_ns=max(same.again.result_ns or same.again.requested_ns for same in found),
        title=f"{second.label} did again what {first.label} had done: {what} ({names}) with the"
        f" same results, {took_ns / 1e9:.1f} s",
        evidence=tuple(evidence),
        count=len(found),
    )


def _of_reads(
    pair: _Pair, paths: Sequence[str], reads: Mapping[str, Mapping[str, FileStep]]
) -> Finding:
    first, second = pair
    steps = [reads[actor.actor_id][path] for path in paths for actor in pair]
    evidence: list[Evidence] = []
    for path in paths[: (MAX_EVIDENCE - 1) // 2]:
        for actor in pair:
            step = reads[actor.actor_id][path]
            note = f"{actor.label} read {path}"
            evidence.append(Evidence("file", step.file_event_id, note, step.first_ns, pid=step.pid))
    evidence.insert(1, Evidence("session", first.session_id, f"{first.label} read them first"))
    return Finding(
        kind="duplicate_work",
        session_id=second.session_id,
        severity="info",
        first_at_ns=min(step.first_ns for step in steps),
        last_at_ns=max(step.first_ns for step in steps),
        title=f"{second.label} read {len(paths)} files that {first.label} had read"
        f" ({short_path(paths[0])}...)",
        evidence=tuple(evidence),
        count=len(paths),
    )
