from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from underglass.packages import LARGE_BYTES, MOST_PROGRAMS, packaged_programs
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


def program(path: Path, size: int = LARGE_BYTES, machine: bytes | None = None) -> str:
    """A file that begins as an executable of this machine does, and is as large."""
    header = Path("/proc/self/exe").read_bytes()[:64]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header if machine is None else header[:18] + machine + header[20:])
    os.truncate(path, size)
    return str(path)


def package(folder: Path, *optional: str) -> Path:
    folder.mkdir(parents=True)
    described = {"name": folder.name, "optionalDependencies": dict.fromkeys(optional, "1.0.0")}
    (folder / "package.json").write_text(json.dumps(described))
    return folder


def launcher(folder: Path) -> str:
    (folder / "bin").mkdir(exist_ok=True)
    return script(folder / "bin" / "agent.js", f"#!{SHELL}\n")


def test_the_executable_of_a_platform_package_next_to_a_launcher(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    agent = package(modules / "@maker" / "agent", "@maker/agent-here", "@maker/agent-elsewhere")
    real = launcher(agent)
    inside = program(package(modules / "@maker" / "agent-here") / "vendor" / "agent")
    program(package(modules / "@maker" / "other") / "agent")
    (modules / ".bin").mkdir()
    (modules / ".bin" / "agent").symlink_to(real)
    assert programs_of([str(modules / ".bin" / "agent")]) == [real, SHELL, inside]


def test_executables_of_the_package_itself_and_of_packages_below_it(tmp_path: Path) -> None:
    agent = package(tmp_path / "node_modules" / "agent", "below", "not-wanted-here")
    smaller, larger = program(agent / "a"), program(agent / "lib" / "b", LARGE_BYTES + 1)
    below = program(package(agent / "node_modules" / "below") / "c", LARGE_BYTES + 2)
    program(package(agent / "node_modules" / "dependency") / "d")
    assert packaged_programs(launcher(agent)) == [below, larger, smaller]


def test_linked_packages_as_pnpm_lays_them_out(tmp_path: Path) -> None:
    kept = tmp_path / "node_modules" / ".pnpm" / "agent@1" / "node_modules"
    real = launcher(package(kept / "agent", "agent-here"))
    platform = package(tmp_path / "node_modules" / ".pnpm" / "agent-here@1" / "agent-here")
    (kept / "agent-here").symlink_to(platform)
    (tmp_path / "node_modules" / "agent").symlink_to(kept / "agent")
    started = str(tmp_path / "node_modules" / "agent" / "bin" / "agent.js")
    assert programs_of([started]) == [real, SHELL]
    inside = program(platform / "agent")
    assert programs_of([started]) == [real, SHELL, inside]


def test_only_large_executables_of_this_machine_count_once_and_not_all(tmp_path: Path) -> None:
    agent = package(tmp_path / "node_modules" / "agent")
    program(agent / "small", LARGE_BYTES - 1)
    program(agent / "foreign", machine=b"\xff\xff")
    (agent / "text").write_bytes(b"#" * LARGE_BYTES)
    assert packaged_programs(launcher(agent)) == []
    first = program(agent / "a")
    (agent / "b").hardlink_to(first)
    (agent / "c").symlink_to(first)
    assert len(packaged_programs(launcher(agent))) == 1
    for number in range(MOST_PROGRAMS + 1):
        program(agent / f"more{number}")
    assert len(packaged_programs(launcher(agent))) == MOST_PROGRAMS


@pytest.mark.parametrize(
    "described", ["", "[]", "null", "{", '{"optionalDependencies": null}',
                  '{"optionalDependencies": {"../../outside": "1"}}'],
)  # fmt: skip
def test_damaged_or_hostile_descriptions_of_packages(tmp_path: Path, described: str) -> None:
    program(tmp_path / "outside" / "agent")
    agent = package(tmp_path / "node_modules" / "agent")
    (agent / "package.json").write_text(described)
    inside = program(agent / "agent")
    assert packaged_programs(launcher(agent)) == [inside]


def test_a_script_outside_of_packages_brings_nothing(tmp_path: Path) -> None:
    agent = package(tmp_path / "agent")
    program(agent / "agent")
    assert packaged_programs(launcher(agent)) == []
