"""How to run real, unmodified agents against a stand-in: a table, one row an agent.

In: the folder that `packaging/agents.sh` fills (UNDERGLASS_AGENTS_DIR, by default
.venv/npm-agents): a folder for each agent and release, with its node_modules. Out: a prepared
`Run`: argv, the whole environment, and an empty git repository to run it in. Each run has a HOME
of its own, so that runs are equal.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT
from underglass.demo.certificates import agent_environment
from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn

AGENTS_DIR = Path(os.environ.get("UNDERGLASS_AGENTS_DIR", ROOT / ".venv" / "npm-agents"))
MANIFEST = ROOT / "packaging" / "agents.json"
PROMPT = "Leave a mark in mark.txt with one shell command."
MARK = "seen by agent\n"

WriteConfig = Callable[[Path, str, Path | None], None]
"""Writes an agent's configuration: (home, base URL, bundle of authorities)."""


@dataclass(frozen=True)
class AgentCase:
    """One way to run an agent. `api` is the ledger's name for the API that it calls.

    `binary` is below the agent's node_modules; `arguments` hold `{prompt}`. One prompt makes two
    calls of the agent's own, and `side_calls` more: for a title, say.
    """

    name: str
    binary: str
    arguments: tuple[str, ...]
    api: str
    write_config: WriteConfig = lambda home, base_url, bundle: None
    variables: Mapping[str, str] = field(default_factory=dict)
    side_calls: int = 0

    def command(self, folder: Path, prompt: str) -> list[str]:
        """The argv, for an agent installed in `folder`."""
        arguments = [argument.replace("{prompt}", prompt) for argument in self.arguments]
        return [str(folder / "node_modules" / self.binary), *arguments]

    def environment(self, folder: Path, home: Path, server: StandIn) -> dict[str, str]:
        """The whole environment: nothing of the caller's gets in."""
        node = folder / "node_modules" / "node" / "bin"
        return {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(node), os.environ["PATH"]]),
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "SHELL": "/bin/bash",
            **agent_environment(server.base_url, server.certificates),
            **{
                key: value.format(base_url=server.base_url) for key, value in self.variables.items()
            },
        }


@dataclass(frozen=True)
class Installed:
    """An agent that is there. `folder` names agent and release."""

    case: AgentCase
    folder: Path

    def prepare(self, directory: Path, server: StandIn, prompt: str = PROMPT) -> Run:
        """Make home, configuration and working directory below `directory`."""
        home, work = directory / "home", directory / "work"
        home.mkdir(parents=True)
        work.mkdir()
        bundle = None if server.certificates is None else server.bundle_path
        self.case.write_config(home, server.base_url, bundle)
        environment = self.case.environment(self.folder, home, server)
        subprocess.run(["git", "init", "-q", work], check=True, env=environment)
        return Run(self.case.command(self.folder, prompt), environment, work)


@dataclass(frozen=True)
class Run:
    """Everything that `subprocess` needs."""

    command: list[str]
    environment: dict[str, str]
    work: Path

    def go(self, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
        """Run the agent as it is."""
        return subprocess.run(
            self.command,
            env=self.environment,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )


def _codex(home: Path, base_url: str, bundle: Path | None) -> None:
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(
        'model = "gpt-5-mini"\n'
        'model_provider = "standin"\n'
        "[analytics]\nenabled = false\n"
        "[model_providers.standin]\n"
        'name = "standin"\n'
        f'base_url = "{base_url}/v1"\n'
        'env_key = "OPENAI_API_KEY"\n'
        'wire_api = "responses"\n'
    )


def _gemini(home: Path, base_url: str, bundle: Path | None) -> None:
    (home / ".gemini").mkdir()
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
    }
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))


def _opencode(home: Path, base_url: str, bundle: Path | None) -> None:
    folder = home / ".config" / "opencode"
    folder.mkdir(parents=True)
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "standin",
        "options": {"baseURL": f"{base_url}/v1", "apiKey": "dummy"},
        "models": {"gpt-5-mini": {"name": "gpt-5-mini"}},
    }
    (folder / "opencode.json").write_text(
        json.dumps(
            {
                "provider": {"standin": provider},
                "model": "standin/gpt-5-mini",
                "small_model": "standin/gpt-5-mini",
                "autoupdate": False,
                "share": "disabled",
                "permission": {"bash": "allow", "edit": "allow"},
            }
        )
    )


CASES = {
    case.name: case
    for case in (
        AgentCase(
            name="claude",
            binary=".bin/claude",
            arguments=("-p", "{prompt}", "--allowedTools", "Bash"),
            api="anthropic.messages",
        ),
        AgentCase(
            name="codex",
            binary=".bin/codex",
            arguments=(
                "exec",
                "--skip-git-repo-check",
                "--dangerously-bypass-approvals-and-sandbox",
                "{prompt}",
            ),
            api="openai.responses",
            write_config=_codex,
        ),
        AgentCase(
            name="gemini",
            binary=".bin/gemini",
            arguments=("-m", "gemini-2.5-flash", "--yolo", "-p", "{prompt}"),
            api="gemini",
            write_config=_gemini,
            variables={"GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_TELEMETRY_ENABLED": "false"},
        ),
        AgentCase(
            name="opencode",
            binary=".bin/opencode",
            arguments=("run", "{prompt}"),
            api="openai.chat",
            write_config=_opencode,
            side_calls=1,
            variables={
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "npm_config_registry": "{base_url}",
            },
        ),
    )
}


def installed() -> list[Installed]:
    """The agents that are there, by name and release; folders are named CASE-RELEASE or CASE."""
    if not AGENTS_DIR.is_dir():
        return []
    found = [(CASES.get(path.name.split("-")[0]), path) for path in sorted(AGENTS_DIR.iterdir())]
    return [
        Installed(case, path)
        for case, path in found
        if case is not None and (path / "node_modules" / case.binary).exists()
    ]


def outline(ledger: list[LedgerRecord]) -> list[tuple[object, ...]]:
    """What must be equal in every run; requests that run at once come in any order."""
    rows: list[tuple[object, ...]] = [
        (
            *(record.method, record.target, record.status, record.turn, record.finish_reason),
            *((call.name, call.arguments) for call in record.tool_calls),
        )
        for record in ledger
    ]
    return sorted(rows, key=repr)
