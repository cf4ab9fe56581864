"""Work of one actor that another one wrote over, or deleted, without having looked at it.

In: `Actor`s and `FileStep`s. Out: `Loss`es, and findings: `write_conflict` where both wrote over
each other or at the same moment, `overwritten_work` where one lost what it had done. Who reads a
file after the other's write and then writes it edits knowingly: no conflict. Opening for writing
counts as writing, as single write(2) calls are not seen. Renaming over a file writes it; one inode
is one file under all its names; appending loses nothing. Locks, what tools derive (`DERIVED`) and
what git keeps for itself are left out.
"""

from __future__ import annotations

import os.path
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.actors import Actor, Actors
from analysis.lock_files import locks, short_path
from analysis.steps import Evidence, FileStep, Finding, ProcessStep

RACE_NS = 2_000_000_000
"""Writes this close together: neither actor can have seen what the other wrote."""
MAX_AGE_NS = 3_600_000_000_000
"""What was written longer ago has been used; writing it anew is another task's business."""
REPLACE_NS = 1_000_000_000
"""Who deletes a file and makes it again this soon replaces it, as git checkout does."""
MAX_SEPARATE = 3
"""Files that one process overwrote or deleted; more of them are one finding (of git: two)."""
MAX_EVIDENCE = 30
DERIVED = re.compile(
    r"^/(?:dev|proc|sys|run)/|/\.git/|/(?:__pycache__|\.\w+_cache|\.cache|node_modules|target)/"
    r"|\.(?:pyc|pyo|o|log)$"
)
_VERBS = {"overwritten": "overwrote", "replaced": "replaced", "deleted": "deleted"}


@dataclass(frozen=True, slots=True)
class Loss:
    """`by` wrote over, replaced or deleted the version of `of`, which it had not read."""

    of: Actor
    by: Actor
    path: str
    written: FileStep
    written_ns: int
    lost: FileStep
    lost_ns: int
    how: str  # overwritten | replaced | deleted
    name: str  # one and the same for all names of a file


@dataclass(slots=True)
class _File:
    """What is known of a file at one moment. `name`: the first of its names that was seen."""

    name: str
    writer: Actor | None = None
    written: FileStep | None = None
    written_ns: int = 0
    read_ns: dict[str, int] = field(default_factory=dict)  # by actor: last read or own write
    reads_until: dict[str, int] = field(default_factory=dict)  # rows of reads that still go on
    deleted: int | None = None  # the loss that made way for it, by its number

    def knows(self, actor: Actor) -> bool:
        """Has the actor read the present version?"""
        return (
            max(
                self.read_ns.get(actor.actor_id, -1),
                self.reads_until.get(actor.actor_id, -1),
            )
            >= self.written_ns
        )


def losses(
    actors: Sequence[Actor], files: Iterable[FileStep], processes: Iterable[ProcessStep] = ()
) -> list[Loss]:
    """Every version of one actor that another one replaced unread, in order of time.

    What git reads to compare is not read by the actor; `processes` tell which reads are git's.
    """
    steps = sorted(files, key=lambda step: (step.first_ns, step.file_event_id))
    comparing = frozenset(one.process_key for one in processes if _compares(one.argv))
    watch = _Watch(Actors(actors), locks(steps), comparing)
    moments = [(step.first_ns, number) for number, step in enumerate(steps)]
    moments += [
        (step.last_ns, number) for number, step in enumerate(steps) if step.last_ns > step.first_ns
    ]
    for at_ns, number in sorted(moments):
        watch.feed(steps[number], at_ns)
    return watch.found


def overwrite_findings(
    found: Iterable[Loss], processes: Iterable[ProcessStep] = ()
) -> list[Finding]:
    """One finding for each file and pair; for many files at once one for the process.

    `processes` name the command that did it. `session_id` is that of the actor whose work was
    lost last.
    """
    programs = {process.process_key: process.argv for process in processes}
    pairs: defaultdict[tuple[str, frozenset[str]], list[Loss]] = defaultdict(list)
    for loss in found:
        pairs[loss.name, frozenset((loss.of.actor_id, loss.by.actor_id))].append(loss)
    findings: list[Finding] = []
    single: defaultdict[tuple[str, str, str], list[list[Loss]]] = defaultdict(list)
    for pair in pairs.values():
        if _is_conflict(pair):
            findings.append(_finding("write_conflict", pair, programs))
        else:
            first = pair[0]
            single[first.of.actor_id, first.by.actor_id, pair[-1].lost.process_key].append(pair)
    for group in single.values():
        at_once = _compares(programs.get(group[0][-1].lost.process_key, ()))
        if len(group) > (1 if at_once else MAX_SEPARATE):
            group = [sorted((loss for pair in group for loss in pair), key=lambda x: x.lost_ns)]
        findings += (_finding("overwritten_work", pair, programs) for pair in group)
    return findings


class _Watch:
    """Follows the files step by step."""

    def __init__(self, actors: Actors, locks: frozenset[str], comparing: frozenset[str]) -> None:
        self._actors = actors
        self._locks = locks
        self._comparing = comparing
        self._files: dict[str, _File] = {}  # by path
        self._inodes: dict[tuple[int, int], str] = {}  # a path of each living inode
        self._inode_of: dict[str, tuple[int, int]] = {}
        self.found: list[Loss] = []

    def feed(self, step: FileStep, at_ns: int) -> None:
        """One thing that happened; times never go back."""
        if step.error is not None:
            return
        actor = self._actors.of_file(step)
        if step.operation == "rename" and step.new_path is not None:
            self._rename(step, step.new_path, actor, at_ns)
        elif step.operation == "link" and step.new_path is not None:
            self._files[step.new_path] = self._file(step.path)
            if step.path in self._inode_of:
                self._inode_of[step.new_path] = self._inode_of[step.path]
        elif step.operation == "unlink":
            self._delete(step, actor, at_ns)
        elif step.operation == "truncate":
            self._write(step, self._file(step.path), step.path, actor, at_ns)
        elif step.operation == "open":
            self._open(step, actor, at_ns)

    def _file(self, path: str) -> _File:
        found = self._files.get(path)
        if found is None:
            found = self._files[path] = _File(path)
        return found

    def _open(self, step: FileStep, actor: Actor | None, at_ns: int) -> None:
        if step.access is None:
            return
        file = self._opened(step)
        writes = step.access != "read" and (
            step.truncates
            or step.exclusive
            or step.access == "read_write"
            or not step.creates  # else it may only set the time, as touch does
        )
        reads = step.access != "write" and not step.truncates
        if reads and actor is not None and step.process_key not in self._comparing:
            file.read_ns[actor.actor_id] = at_ns
            if step.count > 2:
                until = max(file.reads_until.get(actor.actor_id, 0), step.last_ns)
                file.reads_until[actor.actor_id] = until
        if writes or (step.appends and step.access != "read"):
            self._write(step, file, step.path, actor, at_ns)

    def _opened(self, step: FileStep) -> _File:
        """The file of a path, or that of another name of the same inode."""
        path = step.path
        if step.creates and step.exclusive:  # new, even where its end was not seen
            self._forget_inode(path)
            file = self._files[path] = _File(path, deleted=self._file(path).deleted)
        else:
            file = self._file(path)
        if step.device is None or step.inode is None:
            return file
        inode = (step.device, step.inode)
        before, other = self._inode_of.get(path), self._inodes.get(inode)
        if step.creates and step.exclusive:
            other = None
        if before != inode:
            self._forget_inode(path)
            if other is not None and self._inode_of.get(other) == inode:
                file = self._files[path] = self._file(other)
            elif before is not None:  # put there unseen, or the path of another container
                file = self._files[path] = _File(path)
            self._inode_of[path] = inode
        if other is None or self._inode_of.get(other) != inode:
            self._inodes[inode] = path
        return file

    def _forget_inode(self, path: str) -> tuple[int, int] | None:
        inode = self._inode_of.pop(path, None)
        if inode is not None and self._inodes.get(inode) == path:
            del self._inodes[inode]
        return inode

    def _write(
        self, step: FileStep, file: _File, path: str, actor: Actor | None, at_ns: int
    ) -> None:
        if not step.appends or step.truncates:
            self._lose(step, file, path, actor, at_ns, "overwritten")
        if file.deleted is not None:
            before = self.found[file.deleted]
            if before.by is actor and at_ns - before.lost_ns <= REPLACE_NS:
                self.found[file.deleted] = replace(before, how="replaced")
        file.deleted = None
        file.writer, file.written, file.written_ns = actor, step, at_ns
        if actor is not None:
            file.read_ns[actor.actor_id] = at_ns

    def _delete(self, step: FileStep, actor: Actor | None, at_ns: int) -> None:
        self._forget_inode(step.path)
        file = self._files.pop(step.path, None)
        if file is None:
            return
        lost = self._lose(step, file, step.path, actor, at_ns, "deleted")
        self._files[step.path] = _File(step.path, deleted=len(self.found) - 1 if lost else None)

    def _rename(self, step: FileStep, target: str, actor: Actor | None, at_ns: int) -> None:
        moved = self._files.pop(step.path, None)
        inode = self._forget_inode(step.path)
        self._forget_inode(target)
        file = self._files.get(target)
        if file is None and moved is not None:
            self._files[target] = moved  # it has a new name, and still its writer
            if moved.name == step.path:
                moved.name = target
        else:
            replaced = _File(target) if file is None else file
            self._lose(step, replaced, target, actor, at_ns, "overwritten")
            self._files[target] = _File(target, actor, step, at_ns)
            if actor is not None:
                self._files[target].read_ns[actor.actor_id] = at_ns
        if inode is not None:
            self._inodes[inode] = target
            self._inode_of[target] = inode

    def _lose(
        self,
        step: FileStep,
        file: _File,
        path: str,
        actor: Actor | None,
        at_ns: int,
        how: str,
    ) -> bool:
        writer, written = file.writer, file.written
        if actor is None or writer is None or written is None or writer is actor:
            return False
        if file.knows(actor) or at_ns - file.written_ns > MAX_AGE_NS:
            return False
        if path in self._locks or DERIVED.search(path):
            return False
        self.found.append(
            Loss(writer, actor, path, written, file.written_ns, step, at_ns, how, file.name)
        )
        return True


def _compares(argv: Sequence[str]) -> bool:
    """Is it git, and not to show what is in files?"""
    return bool(argv) and os.path.basename(argv[0]) == "git" and "diff" not in argv


def _is_conflict(pair: Sequence[Loss]) -> bool:
    """Did both lose something, or did they write at one moment?"""
    written = [loss for loss in pair if loss.how != "deleted"]
    if len({loss.by.actor_id for loss in written}) > 1:
        return True
    return any(
        loss.how == "overwritten" and loss.lost_ns - loss.written_ns <= RACE_NS for loss in written
    )


def _finding(kind: str, group: Sequence[Loss], programs: Mapping[str, Sequence[str]]) -> Finding:
    last = group[-1]
    paths = list(dict.fromkeys(loss.path for loss in group))
    what = short_path(paths[0])
    if len(paths) > 1:
        what = f"{len(paths)} files ({what}...)"
    command = _command(programs.get(last.lost.process_key, ()))
    if kind == "write_conflict":
        times = "" if len(group) == 1 else f" {len(group)} times"
        title = f"{last.by.label} and {last.of.label} wrote over each other{times}: {what}"
        if len({loss.by.actor_id for loss in group}) == 1:
            title = f"{last.by.label} and {last.of.label} wrote {what} at the same moment"
    else:
        hows = dict.fromkeys(_VERBS[loss.how] for loss in group)
        title = f"{last.by.label} {' and '.join(hows)} unread what {last.of.label} wrote: {what}"
        if command:
            title += f", by `{command}`"
    evidence: list[Evidence] = []
    for loss in group[: (MAX_EVIDENCE - 1) // 2]:
        for actor, step, at_ns, verb in (
            (loss.by, loss.lost, loss.lost_ns, _VERBS[loss.how]),
            (loss.of, loss.written, loss.written_ns, "wrote"),
        ):
            note = f"{actor.label} {verb} {loss.path}"
            evidence.append(Evidence("file", step.file_event_id, note, at_ns, step.pid))
    evidence.insert(1, Evidence("session", last.by.session_id, f"{last.by.label} did it"))
    return Finding(
        kind=kind,
        session_id=last.of.session_id,
        severity="warning",
        first_at_ns=min(loss.written_ns for loss in group),
        last_at_ns=max(loss.lost_ns for loss in group),
        title=title,
        evidence=tuple(evidence),
        count=len(group),
    )


def _command(argv: Sequence[str]) -> str:
    words = list(argv)
    while len(words) > 2 and os.path.basename(words[0]) == "git" and words[1] in ("-C", "-c"):
        del words[1:3]
    text = " ".join(words[:6])
    return text if len(text) <= 80 else text[:79] + "…"
