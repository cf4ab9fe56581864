"""The command line: names commands, loads only the one that is called, reports errors once.

Data goes to standard output, everything else to standard error. Exit codes: 0 ok, 1 failure,
2 usage, 3 capture cannot work here, 130 interrupted; `run` and `record` return the child's.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from probes.errors import UnderglassError
from underglass import __version__
from underglass.configured_context import configured
from underglass.standard_output import nobody_reads

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Command -> (module in underglass.commands, one line for --help), in the order of --help.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Run a command and watch it and everything it starts."),
    "attach": ("attach", "Watch running processes, by pid or name, or the whole host."),
    "serve": ("serve", "Watch the whole host as a service that answers readers."),
    "top": ("top", "Live dashboard of sessions, calls and findings."),
    "status": ("status", "What every session is doing now: working, waiting, stuck, done."),
    "report": ("report", "Latency, tokens, cost, tools, errors and losses in one page."),
    "sessions": ("sessions", "List sessions."),
    "calls": ("calls", "List LLM calls."),
    "tools": ("tools", "List tool calls with their results."),
    "rpc": ("rpc", "List messages between agents, MCP servers and other agents."),
    "requests": ("requests", "List requests to providers that are no calls: counts, batches."),
    "processes": ("processes", "List the programs that agents ran."),
    "files": ("files", "List what programs did to files."),
    "connections": ("connections", "List the addresses and hosts that programs connected to."),
    "show": ("show", "Show one call with its messages."),
    "diff": ("diff", "What one request says that the one before it did not."),
    "agents": ("agents", "List the agents that were seen: versions, programs, models."),
    "timeline": ("timeline", "What happened in one session, and where its time went."),
    "tree": ("tree", "What each tool call caused: programs, files, connections."),
    "context": ("context", "What fills the requests of a session, and what was dropped."),
    "spend": ("spend", "Tokens and money by model, session, agent or day; waste; burn rate."),
    "findings": ("findings", "List everything that analysis found."),
    "loops": ("loops", "Work that repeats without progress, and runaways."),
    "escalations": ("escalations", "Denials, questions, hand-offs and privilege changes."),
    "conflicts": ("conflicts", "Files written over, work done twice, waits at locks."),
    "footprint": ("footprint", "What one session touched, and what would have sufficed."),
    "compare": ("compare", "Compare two sets of sessions, with confidence intervals."),
    "follow": ("follow", "Print calls, tool calls and findings as they happen."),
    "sql": ("sql", "Query the store with SQL."),
    "health": ("health", "What was captured and what was lost, by cause."),
    "coverage": ("coverage", "Which programs' TLS is seen, and which is not, and why."),
    "record": ("record", "Run a command and keep the raw event stream in a file."),
    "replay": ("replay", "Decode a recording into a store; needs no root."),
    "analyse": ("analyse", "Analyse sessions again."),
    "redecode": ("redecode", "Decode kept raw data again with this version."),
    "export": ("export", "Send what is stored to other systems."),
    "config": ("config", "Show every setting, its value and where it comes from."),
    "completion": ("completion", "Print the completion script of your shell."),
    "doctor": ("doctor", "Check whether capture works here, and how to make it work."),
    "demo": ("demo", "Watch a small sample agent talk to a bundled model over TLS."),
}


class NobodyReads(Exception):
    """Whoever read standard output went away; that is no failure."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, freshly imported."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"underglass.commands.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return configured(command)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. Raises NobodyReads where click would end with exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if nobody_reads():
                raise NobodyReads from error
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and what they are for, without importing anything."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=line)
            for name, (_, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help lines without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="underglass")
@click.pass_context
def underglass(context: click.Context) -> None:
    """See what AI agents really do, without touching them."""
    if os.environ.get("NO_COLOR"):
        context.color = False


def main() -> None:
    """Entry point: one place where errors become messages and exit codes."""
    try:
        code = underglass(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UnderglassError as error:
        click.echo(f"underglass: {error}", err=True)
        if error.hint:
            click.echo(f"  fix: {error.hint}", err=True)
        sys.exit(error.exit_code)
    except NobodyReads:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is not flushed yet goes nowhere
        sys.exit(0)
    except OSError as error:
        click.echo(f"underglass: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
