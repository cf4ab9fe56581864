"""Who waited for whom at lock files, how long, and with how many tries that failed.

In: `Actor`s and `FileStep`s. Out: `LockWait`s, and findings of the kind `lock_wait`, one for each
waiter and holder. A lock file is made by the call that fails when it exists: open(2) with
O_CREAT|O_EXCL, mkdir, link, symlink. Who made it holds it until it is removed or renamed. EEXIST is
a failed try; a wait lasts from the first one to success, or to the last try when there was none.
Locks without such calls (flock, fcntl, semaphores) are not visible here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.actors import Actor, Actors, ends_of, process_of
from analysis.lock_files import Hold, Place, holds_of, is_lock_name, places, short_path
from analysis.steps import Evidence, FileStep, Finding, ProcessStep, Severity

MAX_PAUSE_NS = 60_000_000_000
"""Tries further apart are no longer one wait: the slowest back-off of common lock libraries."""
CLOCK_NS = 10_000_000
"""Calls are told when they return, so a failed try may be told this long before the success that
it lost against."""
FREE_TRIES = 3
MIN_FREE_NS = 1_000_000_000
"""Who left a lock free for more than so many usual pauses between tries, and for a second, did not
try meanwhile."""
MIN_UNFREED_TRIES = 4
"""More failed mkdir of a lock's name in a row are a wait even if nobody was seen to free it."""
SERIOUS_SHARE = 0.1
SERIOUS_NS = 10_000_000_000
MAX_EVIDENCE = 30
_ENDS = {True: "then got it", False: "without success", None: "then another one had it"}


@dataclass(frozen=True, slots=True)
class LockWait:
    """One stretch of waiting for one holder. `tries` failed; `acquired`: then one succeeded, or
    None: the wait went on, for the next holder.

    `holder` None: no watched actor was seen to take the lock. `stale_since_ns`: the holder had
    ended then and left the lock behind. `about`: a row of tries went on while the holder changed,
    so that they are shared out as if evenly spaced.
    """

    waiter: Actor
    holder: Actor | None
    path: str
    first_ns: int
    last_ns: int
    tries: int
    acquired: bool | None
    failed: FileStep
    taken: FileStep | None  # by the holder
    stale_since_ns: int | None = None
    about: bool = False


@dataclass(slots=True)
class _Wait:
    actor: Actor
    first_ns: int
    last_ns: int
    rows: list[FileStep] = field(default_factory=list)
    acquired: bool = False

    @property
    def tries(self) -> int:
        return sum(row.count for row in self.rows)


def lock_waits(
    actors: Sequence[Actor], files: Iterable[FileStep], processes: Iterable[ProcessStep] = ()
) -> list[LockWait]:
    """All waits of one actor for another, or for nobody that was seen, in order of time.

    Without `processes` no lock is known to be stale.
    """
    known = Actors(actors)
    ends = ends_of(processes)
    last_end = {actor.actor_id: _last_end(actor, ends) for actor in actors}
    found: list[LockWait] = []
    for path, place in places(files).items():
        holds = holds_of(place, known)
        for wait in _waits(place, known):
            if _is_wait(path, wait, holds):
                found += _shared_out(path, wait, holds, ends, last_end)
    return sorted(found, key=lambda wait: (wait.first_ns, wait.path, wait.failed.file_event_id))


def lock_findings(waits: Iterable[LockWait]) -> list[Finding]:
    """One finding for each pair of waiter and holder, with the sums over all their locks.

    `count` is the number of failed tries; `waited_ms` leaves out no time and counts none twice.
    """
    pairs: defaultdict[tuple[str, str | None], list[LockWait]] = defaultdict(list)
    for wait in waits:
        holder_id = wait.holder.actor_id if wait.holder else None
        pairs[wait.waiter.actor_id, holder_id].append(wait)
    return [_finding(pair) for pair in pairs.values()]


def waited_ns(waits: Iterable[LockWait]) -> int:
    """Their time together; where they overlap it counts once."""
    total, until = 0, 0
    for wait in sorted(waits, key=lambda wait: wait.first_ns):
        total += max(0, wait.last_ns - max(wait.first_ns, until))
        until = max(until, wait.last_ns)
    return total


def blocked_share(waits: Sequence[LockWait]) -> float | None:
    """Part of its time that the waiter of all these waits was blocked; None: not known."""
    wall_ns = waits[0].waiter.wall_ns if waits else None
    return min(1.0, waited_ns(waits) / wall_ns) if wall_ns else None


def _waits(place: Place, actors: Actors) -> list[_Wait]:
    changes = [(step.first_ns, 0, step) for step in place.tries]
    changes += [(at, 1, step) for at, step in place.taken]
    waits: list[_Wait] = []
    current: dict[str, _Wait] = {}
    for at, succeeds, step in sorted(changes, key=lambda change: change[:2]):
        actor = actors.of_file(step)
        if actor is None:
            continue
        wait = current.get(actor.actor_id)
        if wait is not None and at - wait.last_ns > MAX_PAUSE_NS:
            wait = None
            del current[actor.actor_id]
        if succeeds:
            if wait is not None:
                wait.acquired, wait.last_ns = True, max(at, wait.first_ns)
                del current[actor.actor_id]
        elif _paused(step):
            waits.append(_Wait(actor, at, at, [step]))
        elif wait is None:
            wait = current[actor.actor_id] = _Wait(actor, at, max(at, step.last_ns), [step])
            waits.append(wait)
        else:
            wait.rows.append(step)
            wait.last_ns = max(wait.last_ns, step.last_ns)
    return waits


def _paused(step: FileStep) -> bool:
    """Are the tries of a row too far apart to be one wait?"""
    return step.count > 1 and (step.last_ns - step.first_ns) / (step.count - 1) > MAX_PAUSE_NS


def _is_wait(path: str, wait: _Wait, holds: Sequence[Hold]) -> bool:
    """Is it a lock that was waited for, not a file or directory that may well exist?

    `mkdir -p` and caches that are written once fail with EEXIST, too.
    """
    freed = any(
        hold.end_ns is not None and hold.end_ns >= wait.first_ns for hold in _during(wait, holds)
    )
    if all(row.operation == "mkdir" for row in wait.rows):
        if is_lock_name(path):
            return wait.tries > MIN_UNFREED_TRIES or (wait.tries > 1 and freed)
        return wait.tries > 2 and freed and wait.acquired
    return is_lock_name(path) or wait.acquired or (wait.tries > 1 and freed)


def _during(wait: _Wait, holds: Sequence[Hold]) -> Iterator[Hold]:
    """The hold that was there when the wait began, and all that began in it."""
    first = max(0, bisect_right(holds, wait.first_ns, key=lambda hold: hold.start_ns) - 1)
    for number in range(first, len(holds)):
        if holds[number].start_ns > wait.last_ns + CLOCK_NS:
            return
        yield holds[number]


def _shared_out(
    path: str,
    wait: _Wait,
    holds: Sequence[Hold],
    ends: Mapping[str, int | None],
    last_end: Mapping[str, int | None],
) -> list[LockWait]:
    """A wait, cut where the lock passed from one holder to another."""
    parts = _parts(wait, holds)
    pause_ns = (wait.last_ns - wait.first_ns) / max(1, wait.tries - (not wait.acquired))
    patience_ns = max(MIN_FREE_NS, int(FREE_TRIES * pause_ns))
    found: list[LockWait] = []
    for number, (start, hold) in enumerate(parts):
        last = number + 1 == len(parts)
        end = wait.last_ns if last else parts[number + 1][0]
        tries, about = _tries(wait, start if number else None, None if last else end)
        if hold is not None and hold.end_ns is not None and end - hold.end_ns > patience_ns:
            end = max(start, hold.end_ns)
        holder = hold.actor if hold else None
        if holder is wait.actor:
            continue
        stale = _stale_since(hold, ends, last_end) if hold else None
        found.append(
            LockWait(
                *(wait.actor, holder, path, start, end, tries, wait.acquired if last else None),
                failed=wait.rows[0],
                taken=hold.step if hold else None,
                stale_since_ns=stale if stale is not None and stale <= end else None,
                about=about,
            )
        )
    return found


def _parts(wait: _Wait, holds: Sequence[Hold]) -> list[tuple[int, Hold | None]]:
    """From when on who held it; the waiter's own success that ends the wait is not among them."""
    parts: list[tuple[int, Hold | None]] = []
    for hold in _during(wait, holds):
        if hold.start_ns <= wait.first_ns:
            gone = hold.end_ns is not None and hold.end_ns < wait.first_ns - CLOCK_NS
            parts = [(wait.first_ns, None if gone else hold)]  # None: somebody unseen holds it
        elif wait.acquired and hold.start_ns >= wait.last_ns:
            break
        elif hold.start_ns - wait.first_ns <= CLOCK_NS and (not parts or parts[0][1] is None):
            parts = [(wait.first_ns, hold)]
        else:
            parts = parts or [(wait.first_ns, None)]
            parts.append((min(hold.start_ns, wait.last_ns), hold))
    return _tried(wait, parts or [(wait.first_ns, None)])


def _tried(wait: _Wait, parts: Sequence[tuple[int, Hold | None]]) -> list[tuple[int, Hold | None]]:
    """Without those that the waiter slept through: to it, the one before still held the lock."""
    kept = [parts[0]]
    for number, (start, hold) in enumerate(parts[1:], 1):
        end = parts[number + 1][0] if number + 1 < len(parts) else None
        if _tries(wait, start, end)[0]:
            kept.append((start, hold))
    return kept


def _tries(wait: _Wait, start: int | None, end: int | None) -> tuple[int, bool]:
    """Tries in [start, end), None: unbounded, and whether a row had to be divided."""
    total, about = 0, False
    for row in wait.rows:
        before = 0 if start is None else _before(row, start)
        until = row.count if end is None else _before(row, end)
        total += until - before
        about = about or 0 < before < row.count or 0 < until < row.count
    return total, about


def _before(row: FileStep, at_ns: int) -> int:
    """How many of the tries of a row were before a moment, if evenly spaced."""
    if at_ns <= row.first_ns:
        return 0
    if at_ns > row.last_ns:
        return row.count
    return 1 + (at_ns - 1 - row.first_ns) * (row.count - 1) // (row.last_ns - row.first_ns)


def _stale_since(
    hold: Hold, ends: Mapping[str, int | None], last_end: Mapping[str, int | None]
) -> int | None:
    """When the holder had ended without freeing its lock; None: it had not, or it is not known.

    A shell lets a program make the directory or link, which ends at once: of these the whole
    actor has to have ended.
    """
    if hold.actor is None or hold.ended_by is hold.actor:
        return None
    if hold.step.operation == "open":
        end = ends.get(process_of(hold.step.process_key))
    else:
        end = last_end[hold.actor.actor_id]
    return end if end is not None and end >= hold.start_ns else None


def _last_end(actor: Actor, ends: Mapping[str, int | None]) -> int | None:
    found = [ends.get(process_of(key)) for key in actor.process_keys]
    known = [end for end in found if end is not None]
    return max(known) if known and len(known) == len(found) else None


def _finding(waits: Sequence[LockWait]) -> Finding:
    waiter, holder = waits[0].waiter, waits[0].holder
    tries = sum(wait.tries for wait in waits)
    time_ns = waited_ns(waits)
    share = blocked_share(waits)
    paths = list(dict.fromkeys(wait.path for wait in waits))
    stale = any(wait.stale_since_ns is not None for wait in waits)
    what = short_path(paths[0])
    if len(paths) > 1:
        what = f"{len(paths)} locks ({what}...)"
    whom = f"{holder.label}, which held {what}" if holder else f"{what}, held by nobody seen"
    times = f"{'about ' if any(wait.about for wait in waits) else ''}{tries} failed "
    times += "try" if tries == 1 else "tries"
    title = f"{waiter.label} waited {time_ns / 1e9:.2f} s for {whom}: {times}"
    if share is not None:
        title += f", blocked {share:.1%} of its time"
    if stale:
        title += "; stale, as the holder had ended"
    if waits[-1].acquired is False:
        title += ", without success"
    serious = stale or time_ns >= SERIOUS_NS or (share is not None and share >= SERIOUS_SHARE)
    severity: Severity = "warning" if serious else "info"
    return Finding(
        kind="lock_wait",
        session_id=waiter.session_id,
        severity=severity,
        first_at_ns=min(wait.first_ns for wait in waits),
        last_at_ns=max(wait.last_ns for wait in waits),
        title=title,
        evidence=_evidence(waits),
        count=tries,
        waited_ms=time_ns / 1e6,
    )


def _evidence(waits: Sequence[LockWait]) -> tuple[Evidence, ...]:
    holder = waits[0].holder
    evidence: list[Evidence] = []
    for wait in waits[: MAX_EVIDENCE // 2]:
        if wait.taken is not None:
            note = f"took {wait.path}"
            if wait.stale_since_ns is not None:
                note += ", ended and left it"
            step = wait.taken
            evidence.append(Evidence("file", step.file_event_id, note, step.first_ns, step.pid))
        waited = (wait.last_ns - wait.first_ns) / 1e6
        note = f"{wait.tries} failed tries at {wait.path}, {waited:.0f} ms, "
        note += _ENDS[wait.acquired]
        step = wait.failed
        evidence.append(Evidence("file", step.file_event_id, note, wait.first_ns, step.pid))
    if holder is not None:
        evidence.insert(1, Evidence("session", holder.session_id, "held the lock"))
    return tuple(evidence)
