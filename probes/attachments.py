"""Probes in files: attach by plan, put on trial, take out, put in again.

In: files and their `FilePlan`s. Out: uprobes, and `LibrarySeen` events that say what is hooked
and how, once for each process that has the file mapped. A file is known by device and inode, as
uprobes are; the same library in two mount namespaces is one file or two, as the kernel has it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from probes import resolving
from probes.bcc_bindings import ProgramsRejected
from probes.events import LibrarySeen
from probes.hooks import FileKey, FilePlan, StackPlan
from probes.libraries import shown_path
from probes.procfs import kernel_device
from probes.programs import Programs
from probes.trial import Trials, Verdict

MOST_REATTACHMENTS = 3
EXACT_METHODS = frozenset(("symbols", "pclntab"))  # named in the file; nothing to confirm
AT_ENTRY = frozenset(("rustls",))  # stacks whose bytes are taken at a call's entry


@dataclass(slots=True)
class HookedStack:
    """One stack of one file, and the probes in it."""

    plan: StackPlan
    status: str
    detail: str
    descriptors: list[int] = field(default_factory=list)
    reattached: int = 0
    file: int | None = None  # open while there is something to fall back on


@dataclass(slots=True)
class HookedFile:
    """One file that holds TLS stacks. `path`: as its first user knows it."""

    path: str
    plan: FilePlan
    stacks: dict[str, HookedStack] = field(default_factory=dict)
    announced: set[int] = field(default_factory=set)  # pids; 0: before any process


class Attachments:
    """Every file that was looked into, and the probes in those that hold a TLS stack."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._files: dict[FileKey, HookedFile | None] = {}
        self._looks: dict[FileKey, os.stat_result] = {}  # as each file was when looked into
        self.trials = Trials()

    def __contains__(self, key: FileKey) -> bool:
        return key in self._files

    def has_stacks(self, key: FileKey) -> bool:
        """Does a file that was looked into hold anything?"""
        return self._files.get(key) is not None

    def is_unchanged(self, key: FileKey, status: os.stat_result) -> bool:
        """Is a file with this key known, and still what was looked into?

        A number that the file system gives to another file, and new contents in the old file, are
        forgotten here: both are to be looked into.
        """
        known = self._looks.get(key)
        if known is None:
            return False
        if known.st_ctime_ns == status.st_ctime_ns:
            return True
        file = self._files[key]
        holds_inode = file is not None and any(one.descriptors for one in file.stacks.values())
        same = (known.st_mtime_ns, known.st_size) == (status.st_mtime_ns, status.st_size)
        if holds_inode and same:  # a chmod, a link
            return True
        for hooked in file.stacks.values() if file is not None else ():
            self._take_out(hooked)
            self._close(hooked)
        self.trials.abandon(key)
        del self._files[key], self._looks[key]
        return False

    def was_touched(self, key: FileKey, status: os.stat_result) -> bool:
        """Has a file that is unchanged another time of change than before? Says so once."""
        touched = self._looks[key].st_ctime_ns != status.st_ctime_ns
        self._looks[key] = status
        return touched

    def attach(
        self,
        key: FileKey,
        path: str,
        own_path: str,
        plan: FilePlan | None,
        status: os.stat_result,
    ) -> None:
        """Attach to all stacks of a file; what cannot be attached says why.

        `own_path` reaches the file now, also when its users are gone.
        """
        self._looks[key] = status
        if plan is None or not plan.stacks:
            self._files[key] = None
            return
        file = self._files[key] = HookedFile(shown_path(path), plan)
        for stack in plan.stacks:
            hooked = HookedStack(stack, "not_hooked", stack.detail)
            file.stacks[stack.stack] = hooked
            if stack.hooks:
                self._try(key, own_path, hooked)
            if hooked.status == "on_trial" and stack.fallback is not None:
                with suppress(OSError):
                    hooked.file = os.open(own_path, os.O_RDONLY | os.O_CLOEXEC)

    def _try(self, key: FileKey, path: str, hooked: HookedStack) -> None:
        """Put a plan's probes in, on trial when nothing vouches for them."""
        since_ns = time.monotonic_ns()
        self._put_in(path, hooked)
        if hooked.status == "on_trial":
            self.trials.begin(key, hooked.plan.stack, since_ns)

    def _put_in(self, path: str, hooked: HookedStack) -> None:
        try:
            places: dict[tuple[str, bool], list[int]] = {}
            for hook in hooked.plan.hooks:
                places.setdefault((hook.program, hook.at_return), []).append(hook.offset)
            for (program, at_return), offsets in places.items():
                hooked.descriptors += self._programs.attach_uprobes(
                    path, offsets, program, at_return=at_return
                )
        except (OSError, ProgramsRejected) as error:
            self._take_out(hooked)
            hooked.status, hooked.detail = "not_hooked", str(error)
        else:
            confirmed = hooked.plan.method in EXACT_METHODS or hooked.status == "hooked"
            hooked.status = "hooked" if confirmed else "on_trial"

    def _take_out(self, hooked: HookedStack) -> None:
        self._programs.detach_uprobes(hooked.descriptors)
        hooked.descriptors = []

    @staticmethod
    def _close(hooked: HookedStack) -> None:
        if hooked.file is not None:
            os.close(hooked.file)
            hooked.file = None

    def judge(self, verdict: Verdict) -> list[LibrarySeen]:
        """Believe a stack's hooks, or take them out; what is to be said of it."""
        file = self._files.get(verdict.file)
        hooked = file.stacks.get(verdict.stack) if file else None
        if file is None or hooked is None:
            return []
        if verdict.believed:
            hooked.status = "hooked"
        else:
            self._take_out(hooked)
            hooked.status = "rejected"
            hooked.detail = "what it captured was no HTTP; hooks taken out"
            self._fall_back(verdict.file, hooked)
        if hooked.status != "on_trial":
            self._close(hooked)
        return list(self._seen(file, tuple(sorted(file.announced - {0})), (verdict.stack,)))

    def _fall_back(self, key: FileKey, hooked: HookedStack) -> None:
        """Try the other way of a plan whose hooks were rejected, when it has one."""
        rejected, other = hooked.plan, hooked.plan.fallback
        if other is None or hooked.file is None:
            return
        hooked.plan, hooked.status = other, "not_hooked"
        hooked.detail = f"{other.detail}; {rejected.method} captured no HTTP"
        self._try(key, resolving.own_path(hooked.file), hooked)

    def reattach(self, key: FileKey, path: str) -> list[LibrarySeen]:
        """Put the probes of a file in anew because they fell silent; empty when tried enough."""
        file = self._files.get(key)
        if file is None:
            return []
        renewed = []
        for name, hooked in file.stacks.items():
            if hooked.descriptors and hooked.reattached < MOST_REATTACHMENTS:
                deaf = hooked.descriptors
                if name in AT_ENTRY:  # both sets would deliver each byte twice
                    self._programs.detach_uprobes(deaf)
                hooked.descriptors = []
                self._put_in(path, hooked)
                if name not in AT_ENTRY:  # other processes may hear well: no moment without
                    self._programs.detach_uprobes(deaf)
                hooked.reattached += 1
                if hooked.descriptors:
                    hooked.detail = f"{hooked.plan.detail}; fell silent, attached again"
                renewed.append(name)
        return list(self._seen(file, tuple(sorted(file.announced - {0})), tuple(renewed)))

    def announce(self, key: FileKey, path: str, pid: int | None) -> list[LibrarySeen]:
        """What is to be said of a file that a process has mapped; once for each process."""
        file = self._files.get(key)
        if file is None or (pid or 0) in file.announced:
            return []
        file.announced.add(pid or 0)
        return list(self._seen(file, () if pid is None else (pid,), tuple(file.stacks), path))

    def announce_mapped(self, device: int, inode: int, pid: int) -> list[LibrarySeen]:
        """The same by the kernel's name of the file, for a process that may be gone. Not on an
        overlay, where a number names what was copied up and its origin."""
        for key, file in self._files.items():
            if file is None or key.inode != inode or key.copied_ns:
                continue
            if kernel_device(key.device) == device:
                return self.announce(key, file.path, pid)
        return []

    @staticmethod
    def _seen(
        file: HookedFile, pids: tuple[int, ...], stacks: tuple[str, ...], path: str | None = None
    ) -> Iterator[LibrarySeen]:
        for name in stacks:
            hooked = file.stacks[name]
            yield LibrarySeen(
                ktime_ns=time.monotonic_ns(),
                path=shown_path(path) if path else file.path,
                build_id=file.plan.build_id,
                stack=name,
                status=hooked.status,
                method=hooked.plan.method,
                detail=hooked.detail,
                pids=pids,
                sees_ends=hooked.plan.sees_ends,
            )

    def forget(self, pid: int) -> None:
        """A process ended."""
        self.trials.forget(pid)
        for file in self._files.values():
            if file is not None:
                file.announced.discard(pid)

    def on_trial(self, stack: str, pid: int) -> list[FileKey]:
        """Files that a process has mapped and whose stack of this name is on trial."""
        return [
            key
            for key, file in self._files.items()
            if file is not None
            and pid in file.announced
            and stack in file.stacks
            and file.stacks[stack].status == "on_trial"
        ]
