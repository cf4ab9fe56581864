"""A capture that serves others: as whom it runs, and where it keeps and answers.

In: the options of `underglass serve`, and the variables of systemd. Out: a `Serving` for
`underglass.watching`, with its directories made while this process is still root.
"""

from __future__ import annotations

import grp
import os
import pwd
import select
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

import underglass
from probes.errors import UnderglassError
from underglass.notifying import Progress
from underglass.paths import Invoker, invoker

if TYPE_CHECKING:
    from collector.query_service import SocketPlace

ACCOUNT = "underglass"
"""The user that the service runs as and the group that may ask it, where they exist."""


@dataclass(frozen=True, slots=True)
class Serving:
    """`who` the collector becomes; `state`: where it keeps its salt (None: as usual).

    `socket` answers queries for the group `gid` (None: the collector's user alone); None: where a
    store's queries are usually answered. The capture ends when the other end of the pipe
    `lifeline` is closed.
    """

    who: Invoker
    progress: Progress
    state: Path | None = None
    socket: Path | None = None
    gid: int | None = None
    lifeline: int | None = None

    @property
    def place(self) -> SocketPlace | None:
        """The socket, for the query service."""
        from collector.query_service import SocketPlace

        return None if self.socket is None else SocketPlace(self.socket, self.gid)

    @property
    def groups(self) -> tuple[int, ...]:
        """What the collector belongs to besides its user's groups, to give its socket to."""
        return () if self.gid is None else (self.gid,)

    @property
    def abandoned(self) -> bool:
        """Whether nobody holds the other end of `lifeline` any more."""
        if self.lifeline is None:
            return False
        poll = select.poll()
        poll.register(self.lifeline, 0)  # POLLHUP is always told
        return bool(poll.poll(0))

    def check_code(self) -> None:
        """Can `who`, which this process has become, load the rest of underglass?

        Raises UnderglassError.
        """
        for needed in (underglass.__file__, os.__file__, sys.prefix):
            if not os.access(needed, os.R_OK):
                raise UnderglassError(
                    f"the user {self.who.name} may not read {needed}, "
                    "and so cannot run the collector",
                    hint="install underglass where it may, as in /opt, or say --user root",
                    exit_code=3,
                )


def service_user(name: str | None) -> Invoker:
    """The user of this name; without one `underglass`, when there is such a user, else the
    invoking one. Raises UsageError."""
    try:
        entry = pwd.getpwnam(name or ACCOUNT)
    except KeyError as error:
        if name is None:
            return invoker()
        raise click.UsageError(
            f"no user {name}; make one: useradd --system --no-create-home {name}"
        ) from error
    return Invoker(entry.pw_uid, entry.pw_gid, entry.pw_name, Path(entry.pw_dir))


def service_group(name: str | None) -> int | None:
    """The id of the group of this name; without one of `underglass`, None when there is none.

    Raises UsageError.
    """
    try:
        return grp.getgrnam(name or ACCOUNT).gr_gid
    except KeyError as error:
        if name is None:
            return None
        raise click.UsageError(f"no group {name}; make one: groupadd --system {name}") from error


def prepare_state(directory: Path, who: Invoker) -> None:
    """Make the service's state directory, with what is in it, `who`'s alone."""
    _give(directory, who.uid, who.gid, 0o700)
    for _, directories, files, within in os.fwalk(directory):
        for name in (*directories, *files):
            os.chown(name, who.uid, who.gid, dir_fd=within, follow_symlinks=False)


def prepare_runtime(directory: Path, who: Invoker, gid: int | None) -> None:
    """Make the directory of the socket `who`'s, which the group `gid` may enter."""
    _give(directory, who.uid, who.gid if gid is None else gid, 0o700 if gid is None else 0o750)


def _give(directory: Path, uid: int, gid: int, mode: int) -> None:
    """Make a directory so; one that another may have put there is an error."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found, above = directory.lstat(), directory.parent.stat()
        known = found.st_uid in (0, os.getuid(), uid) or not above.st_mode & 0o022
        if not stat.S_ISDIR(found.st_mode) or not known:
            raise UnderglassError(
                f"{directory} is not a directory of root or uid {uid}",
                hint=f"look at it: `ls -ld {directory}`, and remove it or name another",
            )
        os.chown(directory, uid, gid, follow_symlinks=False)
        os.chmod(directory, mode)
    except OSError as error:
        raise UnderglassError(
            f"cannot prepare {directory}: {error.strerror}",
            hint="run it as root, or name files elsewhere with --db and --socket",
        ) from error
