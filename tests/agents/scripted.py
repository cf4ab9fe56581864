"""Real agents that do more than leave a mark: any script, any number of commands, one capture.

In: an installed agent, what the model says to it, and the command lines that follow each other.
Out: the store that `underglass run` left, with how the agent ended.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents.agents import Installed, installed
from tests.e2e.conftest import UNDERGLASS, Watched
from underglass.demo.standin import StandIn

LONGEST_S = 200


@dataclass(frozen=True)
class Said:
    """One answer of the model: a tool call by name, a shell command, or neither; then it ends.

    `to`: only in conversations that open with this text.
    """

    text: str
    shell: str | None = None
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None
    to: str = ""

    def toml(self) -> str:
        lines = ["[[turn]]", f"text = {json.dumps(self.text)}", f"to = {json.dumps(self.to)}"]
        if self.shell is not None:
            lines += ["[[turn.tool]]", f"shell = {json.dumps(self.shell)}"]
        if self.tool is not None:
            fields = (
                f"{key} = {json.dumps(value)}" for key, value in (self.arguments or {}).items()
            )
            lines += ["[[turn.tool]]", f'name = "{self.tool}"']
            lines.append(f"arguments = {{ {', '.join(fields)} }}")
        return "\n".join(lines) + "\n"


def scripted(
    agent: Installed,
    directory: Path,
    said: Sequence[Said],
    commands: Sequence[Sequence[str]],
    guests: Sequence[Installed] = (),
) -> Watched:
    """The commands run one after the other in the agent's home and working directory.

    `guests` are configured there, too. `{work}` in an argument of a tool is that directory.
    """
    script = directory / "script.toml"
    head = 'models = ["claude-sonnet-4-6", "gpt-5-mini", "gemini-2.5-flash"]\n'
    head += 'toolless_text = "A title"\n'
    body = head + "".join(one.toml() for one in said)
    script.write_text(body.replace("{work}", str(directory / "work")))
    with StandIn(script, directory / "standin", latency_scale=0) as server:
        run = agent.prepare(directory, server)
        for guest in guests:
            guest.case.write_config(directory / "home", server.base_url, server.bundle_path)
        store = directory / "store.db"
        shell = "; ".join(shlex.join(words) for words in commands)
        done = subprocess.run(
            [UNDERGLASS, "run", "--db", store, "--", "sh", "-c", shell],
            env=run.environment,
            cwd=run.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        return Watched(store, done.returncode, done.stdout, done.stderr)


def command(agent: Installed, prompt: str) -> list[str]:
    """One prompt, with every tool of the agent's allowed."""
    words = agent.case.command(agent.folder, prompt)
    if agent.case.name == "claude":  # releases whose mode is another by default ask a classifier
        words += ["--permission-mode", "bypassPermissions"]
    return words


def release(agent: Installed) -> str:
    """The version that an installed agent says it is."""
    binary = agent.folder / "node_modules" / agent.case.binary
    node = agent.folder / "node_modules" / "node" / "bin" / "node"
    command = [node, binary] if node.exists() else [binary]
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+(?:\.\d+)+", said.stdout)
    assert found is not None
    return found[0]


def newest(name: str) -> Installed | None:
    """Of the installed releases of an agent, the last by the name of its folder."""
    return next((one for one in reversed(installed()) if one.case.name == name), None)
