"""Tool calls joined with what they caused, in the ways that agents run things."""

from __future__ import annotations

import time

import pytest

from analysis.actions import tool_actions
from tests.analysis.story import AGENT, WORK, Story, joined

CLAUDE = (
    "source /home/u/.claude/snap.sh 2>/dev/null || true && \\builtin shopt -u extglob && "
    "eval {} < /dev/null && pwd -P >| /tmp/claude-1-cwd"
)
GEMINI = "shopt -u nullglob; _f=/tmp/x\n(\n  trap 'jobs -p > \"$_f\"' EXIT\n{}\n)\nexit $?"
COMMAND = "grep -c one a.txt && echo 'it'\\''s done' | tr a-z A-Z > b.txt"
IN_EVAL = "'" + COMMAND.replace("'", "'\"'\"'") + "'"


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (COMMAND, ("/bin/sh", "-c", COMMAND)),
        (COMMAND, ("bash", "-lc", COMMAND)),
        (COMMAND, ("/bin/bash", "-c", CLAUDE.format(IN_EVAL))),
        (COMMAND, ("bash", "-c", GEMINI.format(COMMAND))),
        ("cat a | sort", ("bash", "-c", CLAUDE.format("'cat a < /dev/null | sort'"))),
        ("ls", ("/bin/bash", "-c", CLAUDE.format("ls"))),
        ("ls", ("bash", "-c", GEMINI.format("ls"))),
        ("ls", ("/proc/self/exe", "--setup", "bash", "-c", "exec '/bin/bash' -c 'ls'")),
    ],
)
def test_a_command_finds_its_process(command: str, argv: tuple[str, ...]) -> None:
    story = Story()
    tool = story.tool(10, 90, "Bash", command)
    shell = story.run(20, 200, AGENT, *argv)
    below = story.run(22, 201, 200, "cat")
    read = story.file(23, 201, f"{WORK}/a.txt")
    assert joined(tool_actions(story.steps)) == {
        (tool, shell, "command", "certain"),
        (tool, below, "descendant", "certain"),
        (tool, read, "descendant", "certain"),
    }


def test_an_argument_list_is_executed_as_it_is() -> None:
    story = Story()
    tool = story.tool(10, 90, "shell", {"command": ["git", "log", "--oneline", "-3"]})
    ran = story.run(20, 200, AGENT, "git", "log", "--oneline", "-3")
    assert joined(tool_actions(story.steps)) == {(tool, ran, "command", "certain")}


def test_each_command_of_a_list_is_run_by_itself() -> None:
    story = Story()
    tool = story.tool(10, 90, "run_commands", {"commands": ["make lint", "make test", 3]})
    lint = story.run(20, 200, AGENT, "/bin/bash", "-c", "make lint")
    test = story.run(40, 201, AGENT, "/bin/bash", "-c", "make test")
    story.run(50, 202, AGENT, "git", "status")
    assert joined(tool_actions(story.steps)) == {
        (tool, lint, "command", "certain"),
        (tool, test, "command", "certain"),
    }


def test_programs_that_follow_each_other_in_one_process_are_all_its() -> None:
    story = Story()
    tool = story.tool(10, 90, "exec_command", {"cmd": "printf x > mark.txt && cat mark.txt"})
    keys = {
        story.run(20, 200, AGENT, "/proc/self/exe", "--setup", "44"),
        story.run(21, 200, AGENT, "bash", "-c", "printf x > mark.txt && cat mark.txt"),
        story.run(22, 200, AGENT, "cat", "mark.txt"),
    }
    assert {row.action_id for row in tool_actions(story.steps)} == keys
    assert {row.tool_call_id for row in tool_actions(story.steps)} == {tool}


def test_calls_that_are_open_at_once_are_told_apart_by_their_text() -> None:
    story = Story()
    listing = story.tool(10, 90, "Bash", "ls")
    longer = story.tool(10.01, 90, "Bash", "ls -l | wc -l")
    short = story.run(30, 201, AGENT, "bash", "-c", CLAUDE.format("ls"))
    long = story.run(20, 200, AGENT, "bash", "-c", CLAUDE.format("'ls -l | wc -l'"))
    inside = story.run(21, 202, 200, "ls", "-l")
    assert joined(tool_actions(story.steps)) == {
        (listing, short, "command", "certain"),
        (longer, long, "command", "certain"),
        (longer, inside, "descendant", "certain"),
    }


def test_the_same_command_twice_at_once_is_two_processes() -> None:
    story = Story()
    tools = {story.tool(10, 90, "Bash", COMMAND), story.tool(10.01, 90, "Bash", COMMAND)}
    story.run(20, 200, AGENT, "sh", "-c", COMMAND)
    story.run(21, 201, AGENT, "sh", "-c", COMMAND)
    rows = tool_actions(story.steps)
    assert {row.tool_call_id for row in rows} == tools
    assert len({row.action_id for row in rows}) == 2


def test_the_same_command_later_is_the_later_call_s() -> None:
    story = Story()
    first = story.tool(10, 50, "Bash", COMMAND)
    one = story.run(20, 200, AGENT, "sh", "-c", COMMAND)
    second = story.tool(60, 90, "Bash", COMMAND)
    other = story.run(70, 201, AGENT, "sh", "-c", COMMAND)
    assert joined(tool_actions(story.steps)) == {
        (first, one, "command", "certain"),
        (second, other, "command", "certain"),
    }


def test_what_is_left_running_stays_with_the_call_that_left_it() -> None:
    story = Story()
    first = story.tool(10, 30, "Bash", "(sleep 1; echo late > late.txt) & echo started")
    story.run(20, 200, AGENT, "sh", "-c", "(sleep 1; echo late > late.txt) & echo started")
    story.run(21, 201, 200, "sh")
    story.tool(40, 1900, "Bash", "make test")
    story.run(50, 300, AGENT, "sh", "-c", "make test")
    late = story.file(1021, 201, f"{WORK}/late.txt", "write", creates=True)
    assert (first, late, "descendant", "certain") in joined(tool_actions(story.steps))


def test_what_is_typed_into_a_running_shell_is_the_typing_call_s() -> None:
    story = Story()
    story.tool(10, 30, "exec_command", {"cmd": "bash -i"})
    story.run(15, 200, AGENT, "bash", "-i")
    typed = story.tool(40, 90, "write_stdin", {"session_id": 1, "chars": "make test\n"})
    made = story.run(50, 201, 200, "make", "test")
    assert (typed, made, "window", "likely") in joined(tool_actions(story.steps))


def test_a_shell_that_ran_before_is_known_by_the_programs_that_it_was_told() -> None:
    story = Story()
    story.run(1, 150, AGENT, "bash", "--norc")
    tool = story.tool(10, 90, "bash", "cd src && make test")
    made = story.run(20, 200, 150, "/usr/bin/make", "test")
    story.tool(10.01, 90, "bash", "echo other things are asked for")
    assert (tool, made, "command", "likely") in joined(tool_actions(story.steps))


def test_agents_own_programs_are_no_effect_of_a_command() -> None:
    """Claude Code makes its shell snapshot and asks git while the first command waits."""
    story = Story()
    story.tool(10, 90, "Bash", COMMAND)
    own = {
        story.run(12, 190, AGENT, "/bin/bash", "-c", "env"),
        story.run(13, 191, AGENT, "/usr/bin/git", "remote"),
    }
    story.run(20, 200, AGENT, "sh", "-c", COMMAND)
    assert own.isdisjoint(row.action_id for row in tool_actions(story.steps))


def test_a_command_that_was_denied_takes_nothing_from_its_window() -> None:
    story = Story()
    story.run(1, 190, AGENT, "git", "status")
    story.tool(10, None, "bash", "cd .. && pwd")
    story.run(20, 191, AGENT, "git", "write-tree")
    assert tool_actions(story.steps) == []


def test_files_that_arguments_name() -> None:
    story = Story()
    tool = story.tool(10, 90, "Edit", {"file_path": f"{WORK}/a.py", "old_string": "x"})
    other = story.tool(10.01, 90, "Write", {"file_path": "b.py", "content": "/etc/hosts"})
    read = story.file(20, AGENT, f"{WORK}/a.py")
    written = story.file(21, AGENT, f"{WORK}/b.py.tmp.1", "write", creates=True)
    moved = story.file(22, AGENT, f"{WORK}/b.py.tmp.1", operation="rename", new_path=f"{WORK}/b.py")
    story.file(23, AGENT, "/home/u/.agent/log", "write")
    assert joined(tool_actions(story.steps)) == {
        (tool, read, "path", "certain"),
        (other, moved, "path", "certain"),
        (other, written, "path", "likely"),
    }


def test_a_file_that_is_renamed_below_a_descriptor() -> None:
    """Claude Code writes beside the file and renames through /proc/self/fd."""
    story = Story()
    tool = story.tool(10, 90, "Write", {"file_path": f"{WORK}/a.py", "content": "x"})
    looked = story.file(20, AGENT, f"{WORK}/a.py", None, error="ENOENT")
    written = story.file(21, AGENT, f"{WORK}/a.py.tmp.7.ab", "write", creates=True)
    moved = story.file(
        22,
        AGENT,
        "/proc/self/fd/14/a.py.tmp.7.ab",
        operation="rename",
        new_path="/proc/self/fd/14/a.py",
    )
    story.file(23, AGENT, "/proc/self/fd/15/other.py", "write")
    assert joined(tool_actions(story.steps)) == {
        (tool, looked, "path", "certain"),
        (tool, written, "path", "likely"),
        (tool, moved, "path", "likely"),
    }


def test_files_below_a_link_and_in_the_home_directory() -> None:
    story = Story()
    linked = story.tool(10, 30, "read_file", {"path": "/link/src/a.py"})
    one = story.file(20, AGENT, "/mnt/disk/src/a.py")
    home = story.tool(40, 90, "read_file", {"path": "~/notes.txt"})
    two = story.file(50, AGENT, "/home/u/notes.txt")
    assert joined(tool_actions(story.steps)) == {
        (linked, one, "path", "likely"),
        (home, two, "path", "likely"),
    }


def test_files_that_a_patch_names() -> None:
    story = Story()
    patch = "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x\n+y\n*** End Patch"
    tool = story.tool(10, 90, "apply_patch", {"input": patch})
    written = story.file(20, AGENT, f"{WORK}/src/a.py", "write")
    assert joined(tool_actions(story.steps)) == {(tool, written, "path", "certain")}


def test_files_in_a_directory_that_arguments_name() -> None:
    story = Story()
    tool = story.tool(10, 90, "Grep", {"pattern": "x", "path": f"{WORK}/src"})
    found = story.file(20, AGENT, f"{WORK}/src/deep/a.py")
    story.file(21, AGENT, f"{WORK}/other.py")
    assert joined(tool_actions(story.steps)) == {(tool, found, "path", "likely")}


def test_hosts_that_arguments_name() -> None:
    story = Story()
    tool = story.tool(10, 90, "WebFetch", {"url": "https://docs.example.org/x", "prompt": "?"})
    reached = story.connect(20, AGENT, "93.184.216.34", 443, "docs.example.org")
    story.connect(21, AGENT, "10.0.0.1", 443, "api.anthropic.com")
    story.connect(22, AGENT, "93.184.216.34", 8080, "docs.example.org")
    assert joined(tool_actions(story.steps)) == {(tool, reached, "host", "certain")}


def test_time_alone_joins_when_just_one_call_was_open() -> None:
    story = Story()
    story.run(1, 150, AGENT, "mcp-server")
    tool = story.tool(10, 30, "mcp__tickets__close", {"number": 7})
    written = story.file(20, 150, "/srv/tickets/7", "write")
    story.tool(40, 60, "mcp__tickets__close", {"number": 8})
    story.tool(40.01, 60, "mcp__tickets__close", {"number": 9})
    story.file(50, 150, "/srv/tickets/8", "write")
    story.file(70, 150, "/srv/tickets/index", "write")
    assert joined(tool_actions(story.steps)) == {(tool, written, "window", "likely")}


def test_what_a_sub_agent_s_tool_call_does_is_not_the_task_s() -> None:
    story = Story()
    story.run(1, 150, AGENT, "mcp-server")
    story.tool(10, 90, "Task", {"prompt": "Close ticket 7."})
    tool = story.tool(20, 40, "mcp__tickets__close", {"number": 7}, session_id="sub")
    written = story.file(30, 150, "/srv/tickets/7", "write")
    story.tool(50, 70, "mcp__tickets__close", {"number": 8}, session_id="sub")
    story.tool(51, 70, "mcp__tickets__close", {"number": 9}, session_id="other sub")
    story.file(60, 150, "/srv/tickets/8", "write")
    assert joined(tool_actions(story.steps)) == {(tool, written, "window", "likely")}


def test_a_program_that_a_tool_of_the_agent_s_own_starts() -> None:
    """A search is known by its pattern; what the agent runs anyway is not the search."""
    story = Story()
    story.run(1, 150, AGENT, "/opt/agent/rg", "--files")
    story.run(2, 151, AGENT, "/usr/bin/git", "status")
    tool = story.tool(10, 90, "Grep", {"pattern": "TODO"})
    searched = story.run(20, 200, AGENT, "/opt/agent/rg", "-n", "TODO", ".")
    story.run(21, 201, AGENT, "/usr/bin/git", "status")
    assert joined(tool_actions(story.steps)) == {(tool, searched, "window", "likely")}


def test_what_the_agent_ran_before_and_was_done_with_is_no_effect_of_a_tool() -> None:
    """A script that tells the system's name goes on while a sub-agent is started; a server that
    serves tools stays."""
    story = Story()
    story.run(1, 150, AGENT, "/bin/sh", "lsb_release", end=30)
    story.run(2, 151, AGENT, "ticket-server", end=95)
    tool = story.tool(10, 40, "spawn_agent", {"message": "Count what lies in the folder."})
    story.run(20, 200, 150, "getopt", "-a")
    closed = story.run(21, 201, 151, "close-ticket")
    story.tool(50, 90, "Bash", "ls")
    assert joined(tool_actions(story.steps)) == {(tool, closed, "window", "likely")}


def test_rows_without_beginning_end_or_sense_are_taken() -> None:
    story = Story()
    story.run(0, 300, 301)
    story.run(0, 301, 300)  # parents of each other
    story.tool(10, None, "Bash", "")
    story.tool(10, 5, "Bash", {"command": {"deep": [None]}})
    story.tool(10, 90, "x", [[[[[[[[[[["too deep"]]]]]]]]]]])
    story.file(20, 999, "relative/path", "write")
    story.connect(20, 999, "", 0)
    tool_actions(story.steps)


def test_ten_thousand_calls_in_seconds() -> None:
    story = Story()
    for number in range(2_000):
        at = number * 10
        command = f"make target-{number} && ./run --number {number} | tee out-{number}.txt"
        story.tool(at, at + 9, "Bash", command)
        story.run(at + 1, 1000 + number * 5, AGENT, "/bin/sh", "-c", command)
        for child in range(1, 5):
            pid = 1000 + number * 5 + child
            story.run(at + 1.1, pid, 1000 + number * 5, "cc", f"{child}.c")
        story.file(at + 3, AGENT, f"{WORK}/state-{number}", "write")
    steps = story.steps
    began = time.process_time()
    rows = tool_actions(steps)
    assert time.process_time() - began < 5
    assert sum(row.kind == "process" for row in rows) == 10_000
