"""`underglass top` before it draws anything."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from probes.errors import UnderglassError
from underglass.commands.top import command


def test_without_a_terminal_it_names_the_commands_for_scripts(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--db", str(tmp_path / "x.db")])
    assert isinstance(result.exception, UnderglassError)
    assert result.exception.exit_code == 2
    assert "underglass report" in str(result.exception.hint)
    assert "underglass calls --json" in str(result.exception.hint)


def _in_a_terminal(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    leader, follower = pty.openpty()
    try:
        return subprocess.run(
            [sys.executable, "-m", "underglass", "top", *arguments],
            stdin=follower,
            stdout=follower,
            stderr=subprocess.PIPE,
            env=os.environ | {"UNDERGLASS_SOCKET": ""} | environment,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(leader)
        os.close(follower)


@pytest.mark.parametrize("named", [True, False])
def test_without_a_store_it_says_how_to_make_one(tmp_path: Path, named: bool) -> None:
    path = tmp_path / "none.db"
    arguments = ("--db", str(path)) if named else ("--no-capture",)
    done = _in_a_terminal(*arguments, UNDERGLASS_DB=str(path))
    assert done.returncode == 1
    assert f"no store at {path}" in done.stderr
    assert "underglass run -- COMMAND" in done.stderr
    assert named or "sudo underglass top" in done.stderr
    assert not path.exists()


def test_what_it_cannot_show(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("neither a store nor a recording")
    done = _in_a_terminal(str(other))
    assert done.returncode == 1
    assert "is not an underglass store" in done.stderr
    assert _in_a_terminal(str(other), "--db", str(other)).returncode == 2


def test_importing_the_command_loads_no_textual() -> None:
    code = "import sys, underglass.commands.top; sys.exit('textual' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
