"""Manual pages: everything that can be typed stands in them, and groff has nothing to say."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click

from tests.conftest import ROOT
from underglass.cli import COMMANDS, underglass
from underglass.man_pages import EXIT_CODES, pages, write
from underglass.settings import SETTINGS


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(underglass)
    for name in COMMANDS:
        command = underglass.get_command(context, name)
        assert command is not None
        yield f"underglass-{name}.1", command
        if isinstance(command, click.Group):
            for below, one in command.commands.items():
                yield f"underglass-{name}-{below}.1", one


def plain(page: str) -> str:
    return re.sub(r"\\f[BR]|\\&", "", page).replace("\\-", "-").replace("\\e", "\\")


def test_every_command_option_and_sentence_stands_in_them() -> None:
    found = pages()
    expected = dict(commands())
    assert set(found) == {"underglass.1", *expected}
    for name in COMMANDS:
        assert f"\n.B {name}\n" in plain(found["underglass.1"])
    for setting in SETTINGS:
        if setting.variable:
            assert f"\n.B {setting.variable}\n" in plain(found["underglass.1"])
    for name, command in expected.items():
        page = plain(found[name])
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in (*parameter.opts, *parameter.secondary_opts):
                    assert re.search(rf"^\.B .*{option}\b", page, re.MULTILINE), (name, option)
            else:
                assert str(parameter.name).upper() in page.upper(), (name, parameter.name)
        words = re.sub(r"\s+", " ", (command.help or "").split("\n\n")[0].replace("`", ""))
        assert words.strip()[:60] in re.sub(r"\s+", " ", page.replace("`", ""))


def test_groff_takes_them_without_a_warning(tmp_path: Path) -> None:
    written = write(tmp_path)
    groff = shutil.which("groff")
    if groff is not None:
        done = subprocess.run(
            [groff, "-man", "-ww", "-Tutf8", *written], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "--on-finding" in re.sub(".\b", "", done.stdout)


def test_exit_codes_are_those_of_the_documentation() -> None:
    table = (ROOT / "docs" / "commands.md").read_text().partition("## Exit codes")[2]
    for code, _ in EXIT_CODES[:-1]:
        assert f"\n| {code} |" in table


def test_no_line_of_a_text_is_a_request() -> None:
    from underglass.man_pages import _prose

    assert _prose(".so /etc/passwd\n\n'tis \\n(.x").splitlines()[1::2] == [
        "\\&.so /etc/passwd",
        "\\&'tis \\en(.x",
    ]
