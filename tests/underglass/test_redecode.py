"""`underglass redecode` as a process: what it prints, refuses and leaves when it is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.database import run
from collector.raw_data import raw_directory
from collector.store import Store
from tests.collector.captures import (
    everything,
    later_capture,
    record,
    replayed,
    tables_of,
)
from tests.collector.test_redecode import crippled, with_other_messages, without_openai
from tests.frames import INFO, SALT

UNDERGLASS = Path(sys.executable).with_name("underglass")
PAUSING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was ignored before
from collector.{module} import {name} as place
done = place.{method}
def pause(*arguments, **named):
    result = done(*arguments, **named)
    print("here", flush=True)
    sys.stdin.read()
    return result
place.{method} = pause
from underglass.cli import main
main()
"""


def call(*arguments: object, state: Path) -> subprocess.CompletedProcess[str]:
    """On the machine that recorded: fingerprints in recordings are made with its salt."""
    salt = state / "underglass" / "fingerprint.salt"
    salt.parent.mkdir(mode=0o700, exist_ok=True)
    salt.write_bytes(SALT)
    return subprocess.run(
        [UNDERGLASS, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_STATE_HOME": str(state)},
        timeout=60,
    )


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store of two captures, decoded without OpenAI's APIs; the first has raw data."""
    store = tmp_path / "s.db"
    raw = raw_directory(store)
    raw.mkdir(mode=0o700)
    first = record(raw / f"{INFO.capture_id}.uglass", everything())
    info, captured = later_capture()
    later = record(tmp_path / "later.uglass", captured, info)
    return crippled(store, without_openai, first, later)


def test_captures_are_named_by_id_by_its_beginning_or_by_file(kept: Path, tmp_path: Path) -> None:
    done = call("redecode", "c0ffee", "--db", kept, state=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{INFO.capture_id}  {INFO.command}"
    assert "newly decoded: 3 openai.chat, 2 openai.responses" in done.stdout
    done = call("redecode", tmp_path / "later.uglass", "--db", kept, "--json", state=tmp_path)
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)
    assert (told["capture_id"], told["added"]) == ("beefbeefbeefbeef", {"openai.chat": 1})
    assert told["source"] == str(tmp_path / "later.uglass")
    first = raw_directory(kept) / f"{INFO.capture_id}.uglass"
    expected = replayed(tmp_path / "right.db", first, tmp_path / "later.uglass")
    assert tables_of(kept) == tables_of(expected)


def test_all_takes_those_with_raw_data(kept: Path, tmp_path: Path) -> None:
    before = tables_of(kept)
    dry = call("redecode", "--all", "--dry-run", "--db", kept, state=tmp_path)
    assert "1 of 2 captures have no raw data" in dry.stderr
    assert tables_of(kept) == before
    done = call("redecode", "--all", "--db", kept, state=tmp_path)
    assert done.stdout == dry.stdout
    assert len(tables_of(kept)["llm_call"]) == len(before["llm_call"]) + 5  # chat, WebSocket


def test_what_is_cut_short_is_said(kept: Path, tmp_path: Path) -> None:
    raw = raw_directory(kept) / f"{INFO.capture_id}.uglass"
    raw.write_bytes(raw.read_bytes()[:-5])
    done = call("redecode", "c0ffee", "--db", kept, state=tmp_path)
    assert done.returncode == 1
    assert "cut off" in done.stderr
    assert "kept as they were" in done.stdout
    assert "--force" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say --all"),
        (("--all", "x"), "say --all"),
        (("nothing",), "no file and no capture of that id"),
        (("beef",), "has no raw data"),
    ],
)
def test_refusals(arguments: tuple[str, ...], said: str, kept: Path, tmp_path: Path) -> None:
    before = tables_of(kept)
    done = call("redecode", *arguments, "--db", kept, state=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert tables_of(kept) == before


def test_a_store_in_use_is_named(kept: Path, tmp_path: Path) -> None:
    with Store.open(kept):
        done = call("redecode", "--all", "--db", kept, state=tmp_path)
    assert done.returncode == 1
    assert f"in use by pid {os.getpid()}" in done.stderr


def test_a_dry_run_makes_no_store(tmp_path: Path) -> None:
    file = record(tmp_path / "r.uglass", everything())
    done = call("redecode", file, "--dry-run", "--db", tmp_path / "none.db", state=tmp_path)
    assert done.returncode == 1
    assert "no store" in done.stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("option", [("--no-content",), ("--raw-limit", "0")])
def test_options_that_contradict(option: tuple[str, ...], tmp_path: Path) -> None:
    done = call("run", "--keep-raw", *option, "--", "true", state=tmp_path)
    assert done.returncode == 2
    done = call("run", "--raw-limit", "1G", "--", "true", state=tmp_path)
    assert done.returncode == 2
    assert "--keep-raw" in done.stderr


# Killed


@pytest.fixture
def paused(tmp_path: Path) -> Iterator[Any]:
    """Run `redecode` until a method has returned; the process then waits."""
    started: list[subprocess.Popen[str]] = []

    def start(store: Path, module: str, name: str, method: str) -> subprocess.Popen[str]:
        code = PAUSING.format(module=module, name=name, method=method)
        process = subprocess.Popen(
            [sys.executable, "-c", code, "redecode", "--all", "--db", str(store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": os.getcwd()},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "module", "name", "method"),
    [
        (signal.SIGKILL, "replacement", "Replacement", "_put"),
        (signal.SIGKILL, "replacement", "Replacement", "apply"),
        (signal.SIGINT, "store", "Store", "write"),
    ],
)
def test_a_killed_process_leaves_the_store_as_it_was(
    number: signal.Signals, module: str, name: str, method: str, tmp_path: Path, paused: Any
) -> None:
    store = tmp_path / "s.db"
    raw_directory(store).mkdir()
    recording = record(raw_directory(store) / f"{INFO.capture_id}.uglass", everything())
    crippled(store, with_other_messages, recording)
    before = tables_of(store)
    process = paused(store, module, name, method)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert (list(tmp_path.glob("*.redecode-*")) == []) == (number == signal.SIGINT)
    assert tables_of(store) == before
    done = call("redecode", "--all", "--db", store, state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.redecode-*")) == []
    assert tables_of(store) == tables_of(replayed(tmp_path / "right.db", recording))


@pytest.mark.privileged
def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    try:
        recording = record(tmp_path / "r.uglass", everything())
        store = crippled(disk / "s.db", with_other_messages, recording)
        before = tables_of(store)
        free = shutil.disk_usage(disk).free
        for left in range(0, free, free // 12):
            filler = disk / "filler"
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - left or 1)
            done = call("redecode", recording, "--db", store, state=tmp_path)
            filler.unlink()
            assert list(disk.glob("*.redecode-*")) == []
            if done.returncode == 0:
                break
            assert "df -h" in done.stderr or "No space left" in done.stderr
            assert tables_of(store) == before
        assert left > 0
        assert done.returncode == 0
        assert tables_of(store) == tables_of(replayed(tmp_path / "right.db", recording))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_several_captures_are_each_exchanged_alone(kept: Path, tmp_path: Path) -> None:
    """One that cannot be read does not keep the others from being decoded."""
    info = replace(INFO, capture_id="aaaaaaaaaaaaaaaa")
    broken = record(raw_directory(kept) / f"{info.capture_id}.uglass", everything(), info)
    replayed(kept, broken)
    broken.write_bytes(b"not a recording at all")
    with Store.open(kept) as opened:
        opened.transact(lambda one: run(one, "UPDATE capture SET raw_path = NULL"))
    done = call("redecode", "--all", "--db", kept, state=tmp_path)
    assert done.returncode == 1
    assert "is not a recording" in done.stderr
    assert INFO.capture_id in done.stdout


def test_without_a_store_nothing_is_made(tmp_path: Path) -> None:
    for arguments in (["c0ffee"], ["--all"]):
        done = call("redecode", *arguments, "--db", tmp_path / "none.db", state=tmp_path)
        assert done.returncode == 1
        assert "no store at" in done.stderr
    assert list(tmp_path.glob("none.db*")) == []
