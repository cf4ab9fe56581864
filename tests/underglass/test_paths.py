from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from underglass import paths
from underglass.paths import (
    Invoker,
    fingerprint_salt,
    invoker,
    make_private,
    state_directory,
    store_path,
)

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Not under sudo, with a home of its own."""
    for name in ("SUDO_UID", "XDG_STATE_HOME", "UNDERGLASS_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def under_sudo(monkeypatch: pytest.MonkeyPatch, as_user: Path) -> list[tuple[str, int, int]]:
    """Root for nobody; what would change hands is noted instead."""
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((str(path), uid, gid)))
    monkeypatch.setenv("SUDO_UID", str(NOBODY.pw_uid))
    return given


def test_the_invoker_is_oneself(as_user: Path) -> None:
    who = invoker()
    assert (who.uid, who.home, who.under_sudo) == (os.getuid(), as_user, False)
    assert who.name == pwd.getpwuid(os.getuid()).pw_name


def test_sudo_is_seen_through(under_sudo: list[tuple[str, int, int]]) -> None:
    who = invoker()
    assert who == Invoker(NOBODY.pw_uid, NOBODY.pw_gid, "nobody", Path(NOBODY.pw_dir))
    assert who.under_sudo


@pytest.mark.usefixtures("under_sudo")
@pytest.mark.parametrize("value", ["", "-1", "root", "0"])
def test_root_itself_is_root(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SUDO_UID", value)
    assert (invoker().uid, invoker().under_sudo) == (0, False)


def test_only_root_is_told_by_sudo(monkeypatch: pytest.MonkeyPatch, as_user: Path) -> None:
    monkeypatch.setattr(os, "getuid", lambda: NOBODY.pw_uid)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.pw_uid)
    monkeypatch.setenv("SUDO_UID", "12345")
    assert invoker().uid == NOBODY.pw_uid


def test_a_uid_without_a_name(monkeypatch: pytest.MonkeyPatch, as_user: Path) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    who = invoker()
    assert (who.uid, who.name, who.home) == (3_999_999_999, "3999999999", as_user)


def test_where_state_is(monkeypatch: pytest.MonkeyPatch, as_user: Path) -> None:
    assert state_directory() == as_user / ".local" / "state" / "underglass"
    monkeypatch.setenv("XDG_STATE_HOME", str(as_user / "xdg"))
    assert state_directory() == as_user / "xdg" / "underglass"


@pytest.mark.usefixtures("under_sudo")
def test_roots_environment_does_not_move_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/root/state")
    assert state_directory() == Path(NOBODY.pw_dir) / ".local" / "state" / "underglass"


def test_which_store(monkeypatch: pytest.MonkeyPatch, as_user: Path) -> None:
    assert store_path(None) == state_directory() / "underglass.db"
    monkeypatch.setenv("UNDERGLASS_DB", "/var/x.db")
    assert store_path(None) == Path("/var/x.db")
    assert store_path("y.db") == Path.cwd() / "y.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_folders_are_private_and_old_ones_stay(as_user: Path) -> None:
    as_user.chmod(0o755)
    make_private(as_user / "a" / "b")
    assert [mode(as_user), mode(as_user / "a"), mode(as_user / "a" / "b")] == [
        0o755,
        0o700,
        0o700,
    ]
    make_private(as_user / "a" / "b")


def test_the_salt_is_made_once_and_private(as_user: Path) -> None:
    salt = fingerprint_salt(state_directory())
    assert len(salt) == paths.SALT_BYTES
    assert fingerprint_salt(state_directory()) == salt
    file = state_directory() / "fingerprint.salt"
    assert mode(file) == 0o600
    file.write_bytes(salt[:5])  # torn
    again = fingerprint_salt(state_directory())
    assert len(again) == paths.SALT_BYTES
    assert fingerprint_salt(state_directory()) == again != salt
