"""Where files are: the invoking user's XDG directories, also under sudo."""

from __future__ import annotations

import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Invoker:
    """The person at the keyboard. Under sudo, not root."""

    uid: int
    gid: int
    name: str
    home: Path

    @property
    def under_sudo(self) -> bool:
        """Started by sudo for somebody else than root."""
        return os.geteuid() == 0 and self.uid != 0


def invoker() -> Invoker:
    """Who started this process, seen through sudo."""
    uid = os.getuid()
    if uid == 0 and os.environ.get("SUDO_UID", "").isdigit():
        uid = int(os.environ["SUDO_UID"])
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Invoker(uid, os.getgid(), str(uid), Path(os.environ.get("HOME", "/")))
    home = Path(entry.pw_dir if uid != os.getuid() else os.environ.get("HOME", entry.pw_dir))
    return Invoker(uid, entry.pw_gid, entry.pw_name, home)


def state_directory() -> Path:
    """`$XDG_STATE_HOME/underglass` of the invoking user."""
    who = invoker()
    base = None if who.under_sudo else os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else who.home / ".local" / "state") / "underglass"


def config_directory() -> Path:
    """`$XDG_CONFIG_HOME/underglass` of the invoking user."""
    who = invoker()
    base = None if who.under_sudo else os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else who.home / ".config") / "underglass"


def cache_directory() -> Path:
    """`$XDG_CACHE_HOME/underglass` of the invoking user."""
    who = invoker()
    base = None if who.under_sudo else os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else who.home / ".cache") / "underglass"


def store_path(given: str | None) -> Path:
    """The store: `--db`, else the setting `db`, else in the state directory. Raises BadConfig."""
    from underglass import config

    chosen = given or config.given("db")
    return Path(chosen).absolute() if chosen else state_directory() / "underglass.db"


def make_private(directory: Path) -> None:
    """Create a directory, and what is missing above it, for this user alone."""
    for path in reversed((directory, *directory.parents)):
        if not path.exists():
            path.mkdir(mode=0o700)


def fingerprint_salt(state: Path) -> bytes:
    """The secret with which key fingerprints are made; created once in `state`, mode 0600."""
    path = state / "fingerprint.salt"
    try:
        salt = path.read_bytes()
        if len(salt) == SALT_BYTES:
            return salt
    except OSError:
        pass
    make_private(path.parent)
    salt = secrets.token_bytes(SALT_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(salt)
    return salt
