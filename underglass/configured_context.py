"""How a command takes its defaults from the configuration.

In: a click command. Out: the same command, whose parameters that are not on the command line are
what `underglass.config` says, then what they declare. Files are read when a command runs, so that
`--help` and completion need none.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from underglass.config import Configuration

_META = "underglass.configuration"


class ConfiguredContext(click.Context):
    """A click context whose default map is the configuration."""

    @property
    def configuration(self) -> Configuration:
        """The configuration, read at the first question. Raises BadConfig."""
        if _META not in self.meta:
            from underglass.config import Configuration

            self.meta[_META] = Configuration()
        found: Configuration = self.meta[_META]
        return found

    def lookup_default(self, name: str, call: Any = True) -> Any:
        """What is configured for a parameter; None: nothing."""
        from underglass.settings import SETTINGS

        command = str(self.command.name)
        if self.resilient_parsing or not any(one.sets(command, name) for one in SETTINGS):
            return super().lookup_default(name, call=call)
        return self.configuration.default_of(command, name)

    def invoke(self, callback: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run the command; here it is known that it runs."""
        if not isinstance(callback, click.Command):
            configuration = self.configuration if self.command.name not in _UNCONFIGURED else None
            if configuration is not None and configuration["no_color"].value:
                self.color = False
            if configuration is not None and configuration["time_zone"].value == "utc":
                from analysis.cells import show_times_in

                show_times_in(datetime.UTC)
        return super().invoke(callback, *args, **kwargs)


_UNCONFIGURED = ("config", "completion")
"""Commands that work, too, when the configuration is wrong."""


def configured(command: click.Command) -> click.Command:
    """The command with its subcommands, made to ask the configuration."""
    command.context_class = ConfiguredContext
    if isinstance(command, click.Group):
        for below in command.commands.values():
            configured(below)
    return command


def from_command_line(name: str) -> bool:
    """Whether the user wrote this parameter of the running command, rather than configured it."""
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source(name) if context is not None else None
    return source is click.core.ParameterSource.COMMANDLINE
