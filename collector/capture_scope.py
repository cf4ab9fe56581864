"""What a capture watches, told to the other captures of the same store.

In: the targets of `run` and `attach`. Out: a `CaptureScope` that goes to the collector which owns
the store (`collector.join_messages`), and whether two of them would capture the same processes.
What one capture watches is left out of the others' scope (`probes.session.ProbeSession.leave_out`),
so only what cannot be left out is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from collector.store_errors import StoreError
from probes import procfs


class WatchedAlready(StoreError):
    """Another capture of this store watches what was asked for."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class CaptureScope:
    """One running capture. `pids` are roots of trees; those of a `held` command have not begun."""

    pid: int  # of the collector
    probe: int  # pid of its probe process
    command: str  # such as `underglass run -- claude`
    pids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    everything: bool = False
    held: bool = False

    def __str__(self) -> str:
        return f"pid {self.pid} (`{self.command}`)"

    def as_json(self) -> dict[str, Any]:
        """For a message."""
        return asdict(self)

    @classmethod
    def of_json(cls, said: Any) -> CaptureScope:
        """Raises ValueError for what is none."""
        try:
            return cls(
                int(said["pid"]),
                int(said["probe"]),
                str(said["command"]),
                tuple(int(pid) for pid in said["pids"]),
                tuple(str(name) for name in said["names"]),
                said["everything"] is True,
                said["held"] is True,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a capture: {error}") from error


def concerns(known: CaptureScope, new: CaptureScope) -> bool:
    """Whether `known` would capture what `new` watches, or its collector, unless it is told."""
    if known.everything or known.names:
        return True
    if not known.pids:
        return False
    above = {one for pid in (new.pid, *new.pids) for one in procfs.ancestors(pid)}
    return any(root in above for root in known.pids)


def refuse_overlap(new: CaptureScope, known: CaptureScope) -> None:
    """Raises `WatchedAlready` when `known` watches what `new` wants, and cannot leave it out."""
    for pid in () if new.held else new.pids:
        if known.everything or _has(known, pid):
            raise _watched(f"pid {pid} is", known)
    for name in new.names:
        if known.everything or name in known.names:
            raise _watched(f"programs named {name} are", known)
    if new.everything and known.everything:
        raise _watched("the whole host is", known)
    if new.everything and known.names:
        raise WatchedAlready(
            f"programs named {', '.join(known.names)} are watched already by {known}, and later"
            " ones cannot be left out of the whole host",
            hint=f"end that first with `kill -INT {known.pid}`, or use another store: --db OTHER",
        )


def _has(known: CaptureScope, pid: int) -> bool:
    above = procfs.ancestors(pid)
    if any(root in above for root in known.pids):
        return True
    return any(one in above for name in known.names for one in procfs.named(name))


def _watched(what: str, known: CaptureScope) -> WatchedAlready:
    return WatchedAlready(
        f"{what} watched already by {known}",
        hint="look with `underglass top`; to watch it apart as well, use another store: --db OTHER",
    )
