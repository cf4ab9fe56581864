from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from underglass.watching import programs_of

SHELL = os.path.realpath(shutil.which("sh") or "/bin/sh")
PYTHON = os.path.realpath(sys.executable)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that is searched first."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def script(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o755)
    return str(path)


def test_a_binary_is_itself() -> None:
    assert programs_of([sys.executable, "-c", "1"]) == [PYTHON]
    assert programs_of(["sh"]) == [SHELL]


def test_what_is_not_there() -> None:
    assert programs_of([]) == []
    assert programs_of([""]) == []
    assert programs_of(["no-such-command-anywhere"]) == []


@pytest.mark.parametrize(
    "line",
    [
        f"#!{sys.executable}",
        f"#! {sys.executable} -u",
        "#!/usr/bin/env {name}",
        "#!/usr/bin/env -S {name} --flag",
        "#!/usr/bin/env -S A=1 {name}",
    ],
)
def test_an_interpreter_is_named_by_the_first_line(tools: Path, line: str) -> None:
    (tools / "my-python").symlink_to(sys.executable)
    agent = script(tools / "agent", line.format(name="my-python") + "\nprint(1)\n")
    assert programs_of(["agent"]) == [agent, PYTHON]


def test_links_and_scripts_of_scripts_are_followed(tools: Path) -> None:
    inner = script(tools / "inner", f"#!{SHELL}\n")
    real = script(tools / "real", f"#!{inner}\n")
    (tools / "link").symlink_to(real)
    assert programs_of([str(tools / "link")]) == [real, inner, SHELL]


def test_a_circle_ends(tools: Path) -> None:
    one = script(tools / "one", f"#!{tools}/two\n")
    two = script(tools / "two", f"#!{tools}/one\n")
    assert programs_of(["one"]) == [one, two]


@pytest.mark.parametrize("content", [b"", b"#!", b"#!   \n", b"#!/usr/bin/env\n", b"\xff\xfe#!x"])
def test_first_lines_that_name_nothing(tools: Path, content: bytes) -> None:
    odd = script(tools / "odd", content)
    assert programs_of(["odd"]) == [odd]
