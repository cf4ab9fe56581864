"""The table of exit codes in docs/commands.md, each code driven."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import call
from tests.conftest import ROOT

ENVIRONMENT = os.environ | {"UNDERGLASS_SOCKET": ""}
WITHOUT_ROOT = (
    "import os, sys, underglass.commands.run, underglass.configured_context, underglass.settings\n"
    "from underglass.cli import main\n"
    "os.geteuid() or os.setuid(65534)\n"
    "sys.argv = ['underglass', 'run', '--', 'true']\n"
    "main()"
)


def code(*arguments: str | Path, **more: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "underglass", *arguments],
        capture_output=True,
        env=ENVIRONMENT | more,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode


def test_the_table_names_each_code() -> None:
    table = (ROOT / "docs" / "commands.md").read_text().partition("## Exit codes")[2]
    assert re.findall(r"^\| (\S[^|]*?) \|", table, re.MULTILINE)[1:] == [
        *("0", "1", "2", "3", "130"),
        "the command's",
    ]


def test_0_1_2(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    with Store.open(store) as opened:
        opened.write(Batch(calls=[call()]))
    assert code("calls", "--db", store) == 0
    assert code("calls", "--db", tmp_path / "none.db") == 1
    assert code("calls", "--db", store, "--where", "colour:red") == 2
    assert code("calls", "--db", store, UNDERGLASS_CONFIG=str(tmp_path)) == 2


def test_0_when_nobody_reads(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    with Store.open(store) as opened:
        opened.write(Batch(calls=[call(call_id=f"c{n}") for n in range(3000)]))
    listing = subprocess.Popen(
        [sys.executable, "-m", "underglass", "calls", "--json", "--db", store],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()
    assert listing.wait(30) == 0
    assert listing.stderr.read() == b""


def test_3_without_root() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOT],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.returncode == 3, done.stderr
    assert "fix: sudo" in done.stderr


def test_130_after_ctrl_c(tmp_path: Path) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "underglass", "follow", "--db", tmp_path / "none.db"],
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert follower.stderr is not None
    assert b"no store" in follower.stderr.readline()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(30) == 130


@pytest.mark.privileged
def test_the_commands_own(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    assert code("run", "--db", store, "--", "sh", "-c", "exit 7") == 7
