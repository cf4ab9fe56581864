"""Makes `underglass/demo/office.rec`, the recording that `underglass demo --replay` shows.

    sudo .venv/bin/python packaging/demo_recording.py

Five sample agents work at once for about a minute under real probes, talking TLS to the bundled
model: one repairs a bug, one is stuck in a loop, one writes a long text, one cleans up and reads
what it should not, one works through a heap of files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from underglass.demo import office, sample_agent
from underglass.demo.script import SCRIPTS
from underglass.demo.standin import StandIn

ROOT = Path(__file__).parent.parent
WORK = Path("/srv/underglass-demo")
PYTHON = "/usr/bin/python3"

OPUS, SONNET, HAIKU = "claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"
REPAIR = "The price check fails. Find out why and repair it."
STUCK = "Find out why the nightly upload hangs, and make it go on."
NOTES = "Write the release notes for version 4.2 from CHANGES."
CLEAN = "Clean up the build directory and free as much space as you can."
TICKETS = "Read the support tickets in tickets/ and tell me what they have in common."
AGENTS = (
    (0.0, REPAIR, SONNET),
    (1.5, STUCK, HAIKU),
    (4.0, TICKETS, OPUS),
    (8.0, NOTES, SONNET),
    (14.0, CLEAN, HAIKU),
)
HEAD = """\
select = "sequential"
first_token_ms = 1400
token_ms = 45
toolless_text = "Done"
"""


def turn(
    to: str, text: str, shell: str | None, tokens: tuple[int, int, int], pace: str = ""
) -> str:
    """One turn as TOML: input, cached and output tokens are what it reports."""
    asked, cached, said = tokens
    lines = [
        "[[turn]]",
        f'to = "{to}"',
        f'text = "{text}"',
        pace,
        f"usage.input_tokens = {asked}",
        f"usage.cache_read_tokens = {cached}",
        f"usage.output_tokens = {said}",
    ]
    if shell is not None:
        lines += ["[[turn.tool]]", f"shell = '''{shell}'''"]
    return "\n".join(lines) + "\n"


def repair() -> str:
    """The turns of the demo's own story, which is told in a minute's time."""
    told = (SCRIPTS / "demo.toml").read_text(encoding="utf-8")
    turns = told[told.index("[[turn]]") :]
    return turns.replace("[[turn]]", f'[[turn]]\nto = "{REPAIR}"\nfirst_token_ms = 2500')


def stuck() -> str:
    """The same command with the same result, again and again."""
    said = (
        "I will look at the lock first.",
        "The lock file cannot be read. I will try again.",
        "Still no lock file. Perhaps it takes a moment.",
        "I will look at the lock once more.",
    )
    turns = [
        turn(STUCK, said[min(at, 3)], "cat var/upload.lock", (2100 + 190 * at, 1900, 60))
        for at in range(13)
    ]
    return "".join([*turns, turn(STUCK, "I cannot find out why it hangs.", None, (4800, 4500, 40))])


def notes() -> str:
    """A long answer, which streams for most of the time."""
    parts = ("the parser", "the search", "uploads", "the editor", "sign-in", "reports", "prices")
    lines = [
        f"- {part.capitalize()}: {what} (change {100 + 7 * at + 31 * number})."
        for number, what in enumerate(("faster", "fewer errors", "clearer messages", "less memory"))
        for at, part in enumerate(parts)
    ]
    text = "# Version 4.2\\n\\n" + "\\n".join(lines)
    return turn(NOTES, "First the list of changes.", "cat CHANGES", (1800, 0, 70)) + turn(
        NOTES, text, None, (9400, 1700, 1300), "token_ms = 260"
    )


def clean() -> str:
    """Housekeeping that goes further than it was asked to."""
    return "".join(
        (
            turn(CLEAN, "I will see what is here.", "du -sh build; ls -la", (1500, 0, 50)),
            turn(CLEAN, "The settings may say what is needed.", "cat .env", (1700, 1500, 40)),
            turn(CLEAN, "Now the old objects.", "rm -f build/*.o && sleep 6", (1900, 1700, 45)),
            turn(
                CLEAN,
                "Caches of the system, too.",
                "sudo -n true; unshare -r id -u",
                (2100, 1900, 60),
            ),
            turn(
                CLEAN, "And what is left of old runs.", "rm -rf /var/tmp/old-runs", (2300, 2100, 44)
            ),
            turn(
                CLEAN, "Not all of it may be deleted; 40 objects are gone.", None, (2500, 2300, 60)
            ),
        )
    )


def tickets() -> str:
    """A context that grows with each file."""
    turns = [
        turn(
            TICKETS,
            f"Ticket {at + 1}.",
            f"sleep 0.{at}; cat tickets/{at + 1:02}.txt",
            (3000 + 5200 * at, 2800 + 5200 * max(0, at - 1), 90),
        )
        for at in range(9)
    ]
    end = "All of them wait for an answer that was sent to the wrong address."
    return "".join([*turns, turn(TICKETS, end, None, (51000, 44600, 320))])


def prepare(work: Path) -> None:
    """The directory that the agents work in."""
    shutil.rmtree(work, ignore_errors=True)
    for name in ("build", "tickets", "var"):
        (work / name).mkdir(parents=True)
    (work / "CHANGES").write_text("".join(f"- change {n}: faster\n" for n in range(400)))
    (work / ".env").write_text("UPLOAD_HOST=upload.example\nUPLOAD_PASSWORD=not-a-real-one-4711\n")
    for n in range(40):
        (work / "build" / f"part{n}.o").write_bytes(b"\0" * 4096)
    for n in range(9):
        (work / "tickets" / f"{n + 1:02}.txt").write_text(f"ticket {n + 1}: no answer yet. " * 800)


def work() -> None:
    """Start the agents, each at its time, and wait for them."""
    script = "".join(
        f"(sleep {start}; exec {PYTHON} -I {WORK}/agent.py '{prompt}' {model}) &\n"
        for start, prompt, model in AGENTS
    )
    os.execv("/bin/sh", ["/bin/sh", "-c", f"{script}wait"])


def main() -> int:
    """Record the agents at work."""
    prepare(WORK)
    shutil.copy(str(sample_agent.__file__), WORK / "agent.py")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "office.toml"
        turns = (repair(), stuck(), tickets(), notes(), clean())
        script.write_text(HEAD + "".join(turns))
        with StandIn(script, folder) as model:
            state = Path(folder) / "underglass"
            state.mkdir()
            (state / "fingerprint.salt").write_bytes(office.SALT)
            environment = {
                **os.environ,
                **model.environment(),
                "ANTHROPIC_API_KEY": "sk-ant-demo-0123456789abcdef",
                "PYTHONDONTWRITEBYTECODE": "1",
                "XDG_STATE_HOME": folder,
            }
            command = [sys.executable, __file__, "work"]
            return subprocess.call(
                [
                    sys.executable,
                    "-m",
                    "underglass",
                    "record",
                    str(office.RECORDING),
                    "--",
                    *command,
                ],
                cwd=WORK,
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
            )


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    sys.exit(main())
