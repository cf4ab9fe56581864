"""Two agents in each other's way: lost writes, work done twice, waiting at locks.

In: `Actor`s (`analysis.actors`), and the steps of all of them: of files those on paths that more
than one process touched are enough, with renames and links told of both their names. Out:
findings of the kinds `write_conflict`, `overwritten_work`, `duplicate_work` and `lock_wait`.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.actors import Actor
from analysis.duplicate_work import duplicate_calls, duplicate_reads
from analysis.lock_waits import lock_findings, lock_waits
from analysis.overwrites import losses, overwrite_findings
from analysis.steps import FileStep, Finding, ProcessStep, ToolStep

CONFLICT_KINDS = frozenset({"write_conflict", "overwritten_work", "duplicate_work", "lock_wait"})


def conflicts(
    actors: Sequence[Actor],
    files: Sequence[FileStep],
    tools: Sequence[ToolStep] = (),
    processes: Sequence[ProcessStep] = (),
) -> list[Finding]:
    """Findings in order of time; each is of two actors, its `session_id` that of who suffered.

    `processes` add what steps of files do not say: which lock's holder has ended, and by which
    command work was lost. A `lock_wait` may also be for a lock that nobody seen holds.
    """
    found = lock_findings(lock_waits(actors, files, processes))
    found += overwrite_findings(losses(actors, files, processes), processes)
    found += duplicate_calls(actors, tools, files)
    found += duplicate_reads(actors, files)
    return sorted(found, key=lambda finding: (finding.first_at_ns or 0, finding.kind))
