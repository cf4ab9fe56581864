from __future__ import annotations

import json

import pytest

from analysis.effects import edits, fails, shell_command, waits
from analysis.steps import ToolStep, tool_step


def step(name: str, arguments: object, result: str = "", is_error: bool | None = None) -> ToolStep:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return tool_step("t", name, text, result, call_id="c", is_error=is_error, requested_ns=1)


def bash(command: str) -> ToolStep:
    return step("Bash", {"command": command})


@pytest.mark.parametrize(
    ("name", "arguments", "command"),
    [
        ("Bash", {"command": "ls"}, "ls"),
        ("shell", {"command": ["bash", "-lc", "ls | wc"]}, "ls | wc"),
        ("shell", {"command": ["ls", "a b"]}, "ls 'a b'"),
        ("exec_command", {"cmd": "ls"}, "ls"),
        ("mcp__box__bash", {"command": "ls"}, "ls"),
        ("bash", "ls -l", "ls -l"),
        ("Read", {"command": "ls"}, None),
        ("Bash", {"command": 7}, None),
        ("Bash", {}, None),
    ],
)
def test_shell_command(name: str, arguments: object, command: str | None) -> None:
    assert shell_command(step(name, arguments)) == command


@pytest.mark.parametrize(
    "command",
    ["sleep 5", "cd x && sleep 5; cat log", "  ", "wait $!", "A=1 sleep 2",
     "while ! curl -s x; do sleep 1; done", "gh run watch 12", "kubectl wait pod/x"],
)  # fmt: skip
def test_commands_that_wait(command: str) -> None:
    assert waits(bash(command))


@pytest.mark.parametrize(
    "command",
    ["ls", "echo 'a; sleep 5'", "grep sleep x", "cat <<EOF > a\nsleep 5\nEOF", "waitress"],
)
def test_commands_that_do_not_wait(command: str) -> None:
    assert not waits(bash(command))


@pytest.mark.parametrize(
    "command",
    ["sed -i 's/a/b/' x", "sed -E -i.bak s/a/b/ x", "sed -ni 1p x", "cd a && patch -p1 < x",
     "git apply x.diff", "echo a >> b", "x | tee -a log", "perl -pi -e s/a/b/ x",
     "cat <<'EOF' >> f\ntext\nEOF"],
)  # fmt: skip
def test_commands_that_edit(command: str) -> None:
    assert edits(bash(command))


@pytest.mark.parametrize(
    "command",
    ["sed -n 1,20p x", "cat a > b", "pytest 2>&1", "echo 'a >> b'", "git status", "x >>/dev/null",
     "python - <<EOF\n1 >> 2\nsed -i x\nEOF", "cat <<< x"],
)  # fmt: skip
def test_commands_that_do_not_edit(command: str) -> None:
    assert not edits(bash(command))


def test_edit_tools() -> None:
    assert edits(step("Edit", {"old_string": "a"}, "ok", is_error=False))
    assert edits(step("apply_patch", "*** Begin Patch", "Success"))
    assert edits(step("str_replace_editor", {"command": "insert"}, "edited"))
    assert not edits(step("str_replace_editor", {"command": "view"}, "text"))
    assert not edits(step("Edit", {}, "x", is_error=True))
    assert not edits(step("edit", {}, "Your proposed edit has introduced new syntax error(s)"))
    assert edits(step("Edit", {}, "Fixed a syntax error", is_error=False))


@pytest.mark.parametrize(
    ("result", "is_error", "expected"),
    [
        ("anything", True, True),
        ("Error: x", False, False),
        ("Error: x", None, True),
        ("Traceback (most recent call last):", None, True),
        ("<returncode>1</returncode>", None, True),
        ("<returncode>0</returncode>", None, False),
        ('{"error": "no such user"}', None, True),
        ('{"error": null}', None, False),
        ("Exit code 2\nmake: ***", None, True),
        ("errors.py", None, False),
        ("no errors", None, False),
    ],
)
def test_fails(result: str, is_error: bool | None, expected: bool) -> None:
    assert fails(step("Bash", {"command": "x"}, result, is_error)) is expected
