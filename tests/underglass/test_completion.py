"""What shells complete, and that completing loads no command that is not asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import call, session
from underglass.analysed import analyse_store
from underglass.cli import COMMANDS, underglass
from underglass.settings import BY_KEY

SHELL = "_UNDERGLASS_COMPLETE"


def completed(line: str) -> list[str]:
    *words, incomplete = line.split(" ")[1:]
    shell = BashComplete(underglass, {}, "underglass", SHELL)
    return [item.value for item in shell.get_completions(words, incomplete)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with Store.open(path) as opened:
        opened.write(
            Batch(
                sessions=[session(session_id=each) for each in ("abc1", "abc2", "b\x1b[31m")],
                calls=[call(call_id="call-1", session_id="abc1")],
            )
        )
    analyse_store(path)
    return path


def test_names_options_and_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNDERGLASS_CONFIG", str(tmp_path / "none"))  # no error has a place here
    assert completed("underglass ") == list(COMMANDS)
    assert completed("underglass fo") == ["footprint", "follow"]
    assert "--on-finding" in completed("underglass run --on")
    assert completed("underglass follow --kind f") == ["finding", "file"]
    assert completed("underglass timeline x --kind p") == ["process"]
    assert completed("underglass config limits.s") == [key for key in BY_KEY if "limits.s" in key]
    assert completed("underglass timeline ") == []


def test_ids_of_the_store(store: Path) -> None:
    for words in ("timeline", "footprint", "context", "follow --session", "calls --session"):
        command, *option = words.split()
        line = " ".join(["underglass", command, "--db", str(store), *option, "abc"])
        assert completed(line) == ["abc1", "abc2"], line
    assert completed(f"underglass show --db {store} call") == ["call-1"]
    assert completed(f"underglass timeline --db {store} b") == []  # it would steer the terminal
    assert completed(f"underglass timeline --db {store}.none ") == []


def test_completing_a_name_loads_no_command() -> None:
    code = (
        "import sys; from tests.underglass.test_completion import completed\n"
        "assert completed('underglass fo')\n"
        "loaded = [name for name in sys.modules if name.startswith('underglass.commands.')]\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(shell: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(underglass, ["completion", shell])
    assert done.exit_code == 0
    assert f"{SHELL}={shell}_complete" in done.output
    found = shutil.which(shell)
    if shell == "bash":
        assert found
        script = tmp_path / "completion"
        script.write_text(done.output)
        said = subprocess.run(
            [found, "--norc", "-c",
             f". {script}; COMP_WORDS=(underglass follow --kind fi); COMP_CWORD=3;"
             " _underglass_completion underglass; echo ${COMPREPLY[@]}"],
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True, text=True,
        )  # fmt: skip
        assert said.stdout.split() == ["finding", "file"], said.stderr
