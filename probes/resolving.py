"""Looking into files for hook points without holding up the drain.

In: paths. Out: `FilePlan`s. Small files and those in the cache are answered at once; a large one
is searched in a child process, since half a second of work here would fill the rings.
"""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import dataclass, field

from probes.hooks import FileKey, FilePlan
from probes.libraries import shown_path
from probes.plan_cache import PlanCache
from probes.resolvers import resolve

AT_ONCE_BYTES = 24 << 20
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Job:
    """A file that a child process looks into, and the processes that wait for it."""

    key: FileKey
    path: str  # as its first user reaches it
    file: int  # open, so that it outlives that user
    child: int
    waiting: set[int] = field(default_factory=set)
    answer: bytearray = field(default_factory=bytearray)


class PlanSource:
    """Plans by file: from the cache, at once, or from a child process later."""

    def __init__(self, cache: PlanCache) -> None:
        self._cache = cache
        self._jobs: dict[int, Job] = {}
        self._by_file: dict[FileKey, Job] = {}

    @property
    def descriptors(self) -> list[int]:
        """Become readable when a child has an answer; pass them to `collect`."""
        return list(self._jobs)

    def programs(self) -> list[str]:
        """Names of the BPF programs that known plans call for."""
        return self._cache.programs()

    def waits_for(self, pid: int) -> bool:
        """Is a file of this process still being looked into?"""
        return any(pid in job.waiting for job in self._jobs.values())

    def plan(
        self, key: FileKey, path: str, file: int, pid: int | None
    ) -> tuple[bool, FilePlan | None]:
        """(True, plan) when it is known now; (False, None) when a child looks into the file.

        `file` is a descriptor of it. Without a pid nobody waits, and the answer is given at once.
        """
        job = self._by_file.get(key)
        if job is not None and pid is not None:
            job.waiting.add(pid)
            return False, None
        own, name = own_path(file), shown_path(path)
        known, plan = self._cache.get(own, name)
        if known:
            return True, plan
        if pid is not None and os.fstat(file).st_size > AT_ONCE_BYTES:
            self._start(key, path, file, pid)
            return False, None
        plan = resolve(own, name)
        self._cache.put(own, plan, name)
        return True, plan

    def _start(self, key: FileKey, path: str, file: int, pid: int) -> None:
        answer, out = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            _answer(own_path(file), shown_path(path), out)
        os.close(out)
        job = Job(key, path, os.dup(file), child, {pid})
        self._jobs[answer] = self._by_file[key] = job

    def collect(self, descriptor: int) -> tuple[Job, FilePlan | None] | None:
        """Read a child's answer; the job and its plan once it is whole. Close its `file`."""
        job = self._jobs[descriptor]
        part = os.read(descriptor, 1 << 16)
        if part:
            job.answer += part
            return None
        os.close(descriptor)
        del self._jobs[descriptor], self._by_file[job.key]
        os.waitpid(job.child, 0)
        if not job.answer:
            return job, None  # the child died; the file counts as one without TLS
        plan: FilePlan | None = pickle.loads(bytes(job.answer))
        self._cache.put(own_path(job.file), plan, shown_path(job.path))
        return job, plan

    def save(self) -> None:
        """Write what was found out to the cache file."""
        self._cache.save()


def own_path(file: int) -> str:
    """A path by which this process reaches an open file, wherever that is."""
    return f"/proc/self/fd/{file}"


def _answer(path: str, name: str, out: int) -> None:
    """The child: resolve one file, write the plan, end."""
    try:
        _die_with_parent()
        os.nice(5)
        answer = pickle.dumps(resolve(path, name))
        with open(out, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
