"""The command line as a whole: what is promised in --help and docs, and how it fails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT
from underglass.cli import COMMANDS, underglass

UNDERGLASS = Path(sys.executable).with_name("underglass")
DOCUMENTED = (ROOT / "docs" / "commands.md").read_text()


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UNDERGLASS, *arguments], capture_output=True, text=True)


def _commands() -> list[click.Command]:
    context = click.Context(underglass)
    found = [underglass.get_command(context, name) for name in COMMANDS]
    return [command for command in found if command is not None]


def test_every_command_exists_and_is_documented() -> None:
    assert [command.name for command in _commands()] == list(COMMANDS)
    for name in COMMANDS:
        assert f"`underglass {name}" in DOCUMENTED, name


@pytest.mark.parametrize("command", _commands(), ids=lambda command: str(command.name))
def test_every_option_has_help_and_own_options_are_documented(command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[0] in DOCUMENTED, parameter.opts


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['underglass', '--help']\n"
        "from underglass.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'duckdb', 'pyarrow', 'textual', 'opentelemetry', 'bcc', 'genai_prices', 'rich'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert re.search(rf"^  {name}\s", done.stdout, re.MULTILINE), name


def test_wrong_usage_exits_2_and_says_what_is_right() -> None:
    wrong = _run("run", "--no-such-flag", "--", "true")
    assert wrong.returncode == 2
    assert "--no-such-flag" in wrong.stderr
    assert _run("attach").returncode == 2
    assert _run("no-such-command").returncode == 2
    since = _run("calls", "--since", "yesterday-ish", "--db", __file__)
    assert since.returncode != 0


def test_reading_without_a_store_says_how_to_make_one(tmp_path: Path) -> None:
    done = _run("calls", "--db", str(tmp_path / "none.db"))
    assert done.returncode == 1
    assert "underglass run" in done.stderr or "underglass demo" in done.stderr
    assert not done.stdout


def test_replay_refuses_what_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"not a recording at all")
    done = _run("replay", str(path), "--db", str(tmp_path / "x.db"))
    assert done.returncode == 1
    assert "is not a recording" in done.stderr
