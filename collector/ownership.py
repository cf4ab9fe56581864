"""Who owns a store: one collector at a time, named for everyone else.

In: the path of a store. Out: an `Ownership` held through `flock` on `<db>.lock` until released
or until the process dies, and for others the `Owner` written in that file. The kernel drops the
lock with the process, so what the file says counts only while the lock is held.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import shlex
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from collector.store_errors import StoreLocked, StoreUnreadable
from collector.url_secrets import without_secrets

_PATIENCE_S = 0.4  # readers hold the lock for microseconds while they look
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Owner:
    """The collector that has the store open. `socket` answers queries, when there is one.

    One that is `joinable` takes the rows of other captures at `join`, or soon does when that is
    None; or it is about to end.
    """

    pid: int
    command: str
    since: str  # RFC 3339, UTC
    socket: str | None = None
    join: str | None = None
    joinable: bool = False

    def __str__(self) -> str:
        return f"pid {self.pid} (`{self.command}`, since {self.since})"


def lock_path(store_path: Path) -> Path:
    """The lock file that goes with a store."""
    return store_path.with_name(store_path.name + ".lock")


def locked(store_path: Path, owner: Owner | None, *, writing: bool) -> StoreLocked:
    """The error that names `owner`."""
    return StoreLocked(
        store_path,
        pid=owner.pid if owner else None,
        owner=str(owner) if owner else "another process",
        writing=writing,
        soon=owner is not None and owner.joinable,
    )


class Ownership:
    """The held lock. `StoreLocked` when another collector has it."""

    def __init__(self, store_path: Path, *, joinable: bool = False) -> None:
        path = lock_path(store_path)
        self._announcing = threading.Lock()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreUnreadable(path, error.strerror or str(error)) from error
        try:
            self._acquire(store_path)
            os.fchmod(self._fd, 0o600)
            command = shlex.join(without_secrets(word) for word in sys.orig_argv)
            self._publish(Owner(os.getpid(), command, _now(), joinable=joinable))
        except BaseException:
            os.close(self._fd)
            raise

    def _acquire(self, store_path: Path) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise locked(store_path, _read(self._fd), writing=True) from None
                time.sleep(_PAUSE_S)

    def _publish(self, owner: Owner) -> None:
        text = json.dumps(asdict(owner)).encode()
        os.pwrite(self._fd, text, 0)
        os.ftruncate(self._fd, len(text))
        self.owner = owner

    def announce_socket(self, socket: str | None) -> None:
        """Tell readers where queries are answered; None when they no longer are."""
        with self._announcing:
            self._publish(replace(self.owner, socket=socket))

    def announce_join(self, join: str | None) -> None:
        """Tell other captures where rows are taken; None when they no longer are."""
        with self._announcing:
            self._publish(replace(self.owner, join=join))

    def announce_alone(self) -> None:
        """Tell other captures that none can join."""
        with self._announcing:
            self._publish(replace(self.owner, joinable=False))

    @property
    def released(self) -> bool:
        """Whether the lock was given up."""
        return self._fd < 0

    def release(self) -> None:
        """Give the store up. The file stays: removing it would race with the next owner."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def is_owned(store_path: Path) -> tuple[bool, Owner | None]:
    """Whether a live process owns the store, and who it says it is."""
    try:
        fd = os.open(lock_path(store_path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False, None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False, None
    except BlockingIOError:
        return True, _read(fd)
    finally:
        os.close(fd)


def _read(fd: int) -> Owner | None:
    """The owner as written; None while it is being written."""
    try:
        said = json.loads(os.pread(fd, 65536, 0))
        owner = Owner(int(said["pid"]), str(said["command"]), str(said["since"]), said["socket"])
        return replace(owner, join=said.get("join"), joinable=said.get("joinable") is True)
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
