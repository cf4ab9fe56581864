"""Which store a command reads, and what it says of it."""

from __future__ import annotations

import os
import socket as sockets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from analysis.reading_place import ReadingPlace
from collector.query_service import QueryService, SocketPlace
from collector.rows import Batch
from collector.store import Store
from collector.store_errors import CollectorForbidden, StoreMissing
from tests.collector.store_rows import call
from underglass.commands.doctor import service_checks
from underglass.service import reading_from, reading_place, service_socket, service_store


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own store, which is not there yet; a service would answer at `run/q.sock`."""
    monkeypatch.delenv("UNDERGLASS_DB", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UNDERGLASS_SOCKET", str(tmp_path / "run" / "q.sock"))
    return tmp_path / "home" / "underglass" / "underglass.db"


def with_store(path: Path, call_id: str) -> Path:
    with Store.open(path) as store:
        store.write(Batch(calls=[call(call_id)]))
    return path


@contextmanager
def serving(path: Path, socket: Path) -> Iterator[None]:
    socket.parent.mkdir(exist_ok=True)
    with Store.open(path) as store:
        service = QueryService(store, place=SocketPlace(socket))
        service.start()
        assert service.wait_until_ready(20), service.failure
        try:
            yield
        finally:
            service.close()


@contextmanager
def as_nobody(directory: Path) -> Iterator[None]:
    """A process that may not enter the directory."""
    directory.chmod(0o700 if os.geteuid() == 0 else 0)
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield
        directory.chmod(0o700)


def test_the_service_before_the_users_own_store_and_a_named_one_before_both(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    socket = tmp_path / "run" / "q.sock"
    hosts, named = with_store(tmp_path / "host.db", "host"), with_store(tmp_path / "n.db", "named")
    with_store(own, "own")
    assert reading_place(None) == ReadingPlace(own)
    assert list(service_checks()) == []
    with serving(hosts, socket):
        (check,) = service_checks()
        assert (check.status, check.detail.split()[1]) == ("ok", str(os.getpid()))
        assert reading_place(None) == ReadingPlace(hosts, str(socket))
        with reading_from(None) as reader:
            assert reader.rows("SELECT call_id FROM calls").rows == (("host",),)
        with reading_from(str(named), analysed=True) as reader:
            assert reader.rows("SELECT call_id FROM calls").rows == (("named",),)
        with reading_from(str(hosts)) as reader:  # its owner is asked
            assert reader.source == f"collector pid {os.getpid()}"
        monkeypatch.setenv("UNDERGLASS_DB", str(named))
        assert reading_place(None) == ReadingPlace(named)
        monkeypatch.setenv("UNDERGLASS_DB", "")
        monkeypatch.setenv("UNDERGLASS_SOCKET", "")
        assert reading_place(None) == ReadingPlace(own)
    with reading_from(None) as reader:
        assert reader.source == "file"
    assert capsys.readouterr().err == ""  # no terminal


def test_who_answered_is_said_to_a_terminal(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    socket, hosts = tmp_path / "run" / "q.sock", with_store(tmp_path / "host.db", "host")
    with_store(own, "own")
    with reading_from(None):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with reading_from(None), serving(hosts, socket), reading_from(None):
        pass
    said = capsys.readouterr()
    assert said.out == ""
    assert click.unstyle(said.err).splitlines() == [
        f"from the file {own}",
        f"from the collector (pid {os.getpid()}, {hosts})",
    ]


def test_a_socket_that_nobody_listens_on_is_passed_over_and_it_is_said(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    socket = tmp_path / "run" / "q.sock"
    socket.parent.mkdir()
    with_store(own, "own")
    with sockets.socket(sockets.AF_UNIX) as left:
        left.bind(str(socket))
    assert reading_place(None) == ReadingPlace(own)
    assert "does not answer (Connection refused)" in capsys.readouterr().err
    (check,) = service_checks()
    assert (check.status, "systemctl start underglass" in str(check.fix)) == ("warn", True)
    socket.unlink()
    monkeypatch.setattr("underglass.service.PATIENCE_S", 0.2)
    with sockets.socket(sockets.AF_UNIX) as deaf:
        deaf.bind(str(socket))
        deaf.listen(8)
        assert reading_place(None) == ReadingPlace(own)
        assert "does not answer" in capsys.readouterr().err
        assert reading_place(str(own)) == ReadingPlace(own)
        assert capsys.readouterr().err == ""  # it was not asked
    own.unlink()
    socket.unlink()
    with pytest.raises(StoreMissing), reading_from(None):
        pass


def test_one_who_may_not_ask_the_service_is_told_how_he_may(
    tmp_path: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    socket, hosts = tmp_path / "run" / "q.sock", with_store(tmp_path / "host.db", "host")
    tmp_path.chmod(0o755)
    for above in tmp_path.parents:
        if above.name.startswith(("pytest-", "popen-")):
            above.chmod(0o755)
    with serving(hosts, socket):
        if os.geteuid() == 0:
            os.chown(socket.parent, 0, 1)
        reading_place(None)  # what it imports, nobody may not read
        with as_nobody(socket.parent), pytest.raises(CollectorForbidden) as raised:
            reading_place(None)
        assert f"you may not ask the collector at {socket}" in str(raised.value)
        assert "sudo usermod -aG" in str(raised.value.hint)
        if os.geteuid() == 0:
            assert "the group daemon" in str(raised.value)
            assert "usermod -aG daemon $USER" in str(raised.value.hint)
        own.parent.mkdir(parents=True)
        with_store(own, "own")
        for each in (own.parent.parent, own.parent, own):
            each.chmod(0o755)
        with as_nobody(socket.parent):
            assert reading_place(None) == ReadingPlace(own)
        assert "usermod" in capsys.readouterr().err


def test_a_named_store_out_of_reach_is_asked_of_the_service_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket, hosts = tmp_path / "run" / "q.sock", with_store(tmp_path / "host.db", "host")
    with serving(hosts, socket):
        monkeypatch.setattr("underglass.service._readable", lambda path: False)
        assert reading_place(str(hosts)) == ReadingPlace(hosts, str(socket))
        assert reading_place(str(tmp_path / "o.db")) == ReadingPlace(tmp_path / "o.db")


def test_places_are_those_of_systemd_else_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UNDERGLASS_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    assert service_socket() == Path("/run/underglass/query.sock")
    assert service_store() == Path("/var/lib/underglass/underglass.db")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/a")
    assert service_socket() == Path("/run/a/query.sock")
    assert service_store() == Path("/var/lib/a/underglass.db")
