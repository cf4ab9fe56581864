"""`underglass record`: watch a command and keep its event stream in a file."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from underglass.options import COMMAND_SETTINGS, command_argument, freeze_option
from underglass.watching import Watch, watch


@click.command("record", context_settings=COMMAND_SETTINGS)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@freeze_option
@command_argument
def command(file: Path, freeze: bool, cmd: tuple[str, ...]) -> int:
    """Run CMD and record the plaintext event stream in FILE (compressed, secrets masked).

    `underglass replay FILE` decodes it later, as often as needed and without root.
    """
    file = file.absolute()
    if cmd[0] == "--":  # click leaves it there after an argument
        cmd = cmd[1:]
    if not cmd:
        raise click.UsageError("say what to run: underglass record FILE -- CMD")
    summary = watch(
        Watch(
            description=f"record {file} -- {shlex.join(cmd)}",
            store=None,
            recording=file,
            command=cmd,
            freeze=freeze,
        )
    )
    if summary.probe_died:
        click.echo("underglass: the probe process ended early", err=True)
    size_kb = file.stat().st_size / 1024
    click.echo(f"underglass: recorded {size_kb:,.0f} KiB; see: underglass replay {file}", err=True)
    return summary.exit_code or int(summary.recording_failed)
