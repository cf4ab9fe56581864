from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from underglass.launch import HeldCommand
from underglass.paths import invoker

ROOT = Path(__file__).parents[2]
_HANDLED = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _HANDLED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ended(command: HeldCommand) -> int:
    """Its exit code; waits for the end without taking it from `poll`."""
    os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT)
    code = command.poll()
    assert code is not None
    assert command.poll() == code
    return code


def run(*argv: str) -> int:
    command = HeldCommand(argv, invoker())
    command.release()
    return ended(command)


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_codes_are_passed_on(code: int) -> None:
    assert run("sh", "-c", f"exit {code}") == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_is_told_as_shells_do(number: signal.Signals) -> None:
    assert run("sh", "-c", f"kill -{int(number)} $$") == 128 + number


def test_a_command_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("no-such-command-anywhere") == 127
    assert capfd.readouterr().err == (
        "underglass: no-such-command-anywhere: No such file or directory\n"
    )


def test_a_file_that_cannot_be_executed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain = tmp_path / "plain"
    plain.write_text("hello")
    assert run(str(plain)) == 126
    assert run(str(tmp_path)) == 126
    plain.chmod(0o755)
    assert run(str(plain)) == 126  # neither a binary nor a script
    assert capfd.readouterr().err.count("underglass: ") == 3


def test_nothing_happens_before_it_is_released(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = HeldCommand(["touch", str(mark)], invoker())
    assert os.readlink(f"/proc/{command.pid}/exe") == os.readlink("/proc/self/exe")
    assert command.poll() is None
    assert not mark.exists()
    command.release()
    assert ended(command) == 0
    assert mark.exists()


def test_a_command_that_is_given_up_never_began(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = HeldCommand(["touch", str(mark)], invoker())
    command.give_up()
    assert not mark.exists()
    assert not Path(f"/proc/{command.pid}").exists()


def test_signals_to_underglass_reach_the_command() -> None:
    command = HeldCommand(["sleep", "30"], invoker())
    command.release()
    os.kill(os.getpid(), signal.SIGTERM)
    assert ended(command) == 128 + signal.SIGTERM
    os.kill(os.getpid(), signal.SIGTERM)  # nobody is left to hear it, and nobody is hurt


def test_ctrl_c_is_the_commands_own_affair() -> None:
    # A shell ignores it for what it starts in the background, such as these tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = HeldCommand(["sh", "-c", "kill -INT $$; exit 3"], invoker())
    command.release()
    os.kill(os.getpid(), signal.SIGINT)
    assert ended(command) == 128 + signal.SIGINT


SCRIPT = """
import os, sys
from underglass.launch import HeldCommand
from underglass.paths import invoker
held = HeldCommand(sys.argv[1:], invoker())
held.release()
os.waitid(os.P_PID, held.pid, os.WEXITED | os.WNOWAIT)
sys.exit(held.poll())
"""


def test_standard_streams_group_and_descriptors_are_the_commands_own() -> None:
    probe = "cat; echo to-err >&2; ls /proc/self/fd | wc -l; cut -d' ' -f5 /proc/$$/stat; exit 7"
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, "sh", "-c", probe],
        input=b"line one\nline two \xff\n",
        capture_output=True,
        cwd=ROOT,
        process_group=0,
        timeout=20,
    )
    out = result.stdout.splitlines()
    assert out[:2] == [b"line one", b"line two \xff"]
    assert int(out[2]) == 4  # standard input, output, error, and the folder that ls reads
    assert int(out[3]) != os.getpgrp()
    assert result.stderr == b"to-err\n"
    assert result.returncode == 7
