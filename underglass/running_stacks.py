"""TLS stacks of the processes that run now, without capturing.

In: /proc and the files that processes have mapped. Out: rows as the view `coverage` has them; what
only a capture can tell is None.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from probes import libraries, procfs
from probes.events import ProcessSeen
from probes.hooks import FileKey, FilePlan, StackPlan
from probes.plan_cache import PlanCache
from probes.resolvers import resolve

_RANK = {"not_hooked": 2, "hookable": 5}
_NOT_TOLD = dict.fromkeys(
    ("capture_id", "read_bytes", "written_bytes", "tls_read_bytes", "tls_written_bytes",
     "started_at", "process_key"),
)  # fmt: skip


def running_stacks(pids: Iterable[int] | None = None) -> list[dict[str, Any]]:
    """A row for each process and stack, those that cannot be hooked first; by default of all
    processes but this one. Plans come from the cache of hook plans where it may be read."""
    cache = PlanCache()
    plans: dict[FileKey, FilePlan | None] = {}
    rows = []
    for pid in procfs.pids() if pids is None else pids:
        process = procfs.seen(pid) if pid != os.getpid() else None
        if process is None:
            continue
        for path in libraries.mapped_executables(pid):
            key = libraries.file_key(path)
            if key is None:
                continue
            if key not in plans:
                plans[key] = _plan(cache, path)
            plan = plans[key]
            if plan is not None:
                rows += [_row(process, path, plan, stack) for stack in plan.stacks]
    cache.save()
    return sorted(rows, key=lambda row: (row["rank"], row["pid"], row["stack"], row["path"]))


def _plan(cache: PlanCache, path: str) -> FilePlan | None:
    known, plan = cache.get(path)
    if not known:
        plan = resolve(path, libraries.shown_path(path))
        cache.put(path, plan)
    return plan


def _row(process: ProcessSeen, path: str, plan: FilePlan, stack: StackPlan) -> dict[str, Any]:
    status = "hookable" if stack.hooks else "not_hooked"
    return {
        **_NOT_TOLD,
        "pid": process.pid,
        "program": process.exe or process.comm,
        "stack": stack.stack,
        "status": status,
        "path": libraries.shown_path(path),
        "method": stack.method or None,
        "detail": stack.detail,
        "hosts": [],
        "build_id": plan.build_id,
        "rank": _RANK[status],
    }
