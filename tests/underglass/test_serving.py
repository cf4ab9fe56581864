"""As whom the service runs, its directories, and its unit."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import click
import pytest

from probes.errors import UnderglassError
from tests.conftest import ROOT
from underglass.notifying import PipeProgress, SystemdProgress
from underglass.paths import Invoker, invoker
from underglass.serving import (
    Serving,
    prepare_runtime,
    prepare_state,
    service_group,
    service_user,
)

UNIT = ROOT / "packaging" / "systemd" / "underglass.service"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
NOBODY = Invoker(65534, 65534, "nobody", Path("/nonexistent"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_user_and_group_by_name_else_underglass_where_they_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (service_user("nobody").uid, service_user("nobody").name) == (65534, "nobody")
    assert service_group("daemon") == grp.getgrnam("daemon").gr_gid
    for wrong in (service_user, service_group):
        with pytest.raises(click.UsageError, match="no-such-account"):
            wrong("no-such-account")
    daemon = pwd.getpwnam("daemon")
    with monkeypatch.context() as there:
        there.setattr("pwd.getpwnam", lambda name: daemon if name == "underglass" else None)
        assert service_user(None).uid == daemon.pw_uid
    with monkeypatch.context() as missing:
        missing.setattr("underglass.serving.ACCOUNT", "no-such-account")
        assert service_user(None) == invoker()
        assert service_group(None) is None


@as_root
def test_directories_are_the_services_own(tmp_path: Path) -> None:
    state, runtime = tmp_path / "state", tmp_path / "run" / "underglass"
    (state / "s.db.raw").mkdir(parents=True)
    (state / "s.db.raw" / "c.uglass").touch()
    (state / "link").symlink_to("/etc/passwd")
    prepare_state(state, NOBODY)
    for each in (state, state / "s.db.raw", state / "s.db.raw" / "c.uglass"):
        assert each.stat().st_uid == NOBODY.uid
    assert Path("/etc/passwd").stat().st_uid == 0
    assert mode(state) == 0o700
    prepare_runtime(runtime, NOBODY, 1)
    assert (mode(runtime), runtime.stat().st_uid, runtime.stat().st_gid) == (0o750, NOBODY.uid, 1)
    prepare_runtime(runtime, invoker(), None)  # taken back, as after `--user` was changed
    assert (mode(runtime), runtime.stat().st_uid) == (0o700, 0)


@as_root
def test_what_is_anothers_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    os.chown(tmp_path / "others", 1, 1)
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "file").touch()
    tmp_path.chmod(0o1777)
    for name in ("others", "link", "file"):
        with pytest.raises(UnderglassError, match=name):
            prepare_state(tmp_path / name, NOBODY)
    assert (tmp_path / "others").stat().st_uid == 1
    assert Path("/etc").stat().st_uid == 0


def test_a_user_who_cannot_load_the_code_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = Serving(NOBODY, SystemdProgress(), gid=7)
    assert serving.groups == (7,)
    serving.check_code()
    monkeypatch.setattr("sys.prefix", str(tmp_path / "not-to-be-read"))
    with pytest.raises(UnderglassError, match="nobody may not read") as raised:
        serving.check_code()
    assert raised.value.exit_code == 3
    assert "--user root" in str(raised.value.hint)


def test_a_capture_knows_that_it_is_abandoned() -> None:
    held, lifeline = os.pipe()
    serving = Serving(NOBODY, PipeProgress(lifeline), lifeline=held)
    assert not serving.abandoned
    PipeProgress(lifeline).ready()
    assert os.read(held, 10) == b"r"
    assert not serving.abandoned
    os.close(lifeline)
    assert serving.abandoned
    PipeProgress(lifeline).ready()  # nobody is there, and nothing happens
    os.close(held)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"@ug-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0"))
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        progress = SystemdProgress()
        assert "NOTIFY_SOCKET" not in os.environ  # a child would be taken for the service
        progress.ready()
        for _ in range(3):
            progress.alive()
        now_s = time.monotonic()
        monkeypatch.setattr("time.monotonic", lambda: now_s + 21)
        progress.alive()
        progress.stopping()
        told = [systemd.recv(100) for _ in range(4)]
    assert told == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]
    progress.stopping()  # it is gone, and nothing happens


def test_nobody_is_told_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    monkeypatch.setattr("socket.socket", None)  # nothing is opened
    progress = SystemdProgress()
    progress.ready()
    progress.alive()
    progress.stopping()


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "Restart=on-failure", "KillMode=mixed", "NoNewPrivileges=yes",
                 "StateDirectory=underglass", "RuntimeDirectory=underglass"):  # fmt: skip
        assert f"\n{line}\n" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    installed = tmp_path / UNIT.name
    installed.write_text(text.replace("/opt/underglass/bin/underglass", shutil.which("true") or ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", installed], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
