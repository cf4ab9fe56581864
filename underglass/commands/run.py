"""`underglass run`: watch a command and everything that it starts."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from underglass.on_finding import whom_to_tell
from underglass.options import (
    COMMAND_SETTINGS,
    alerts_option,
    command_argument,
    content_option,
    db_option,
    freeze_option,
    keep_raw_options,
    on_finding_options,
    prices_option,
    raw_limit,
)
from underglass.paths import store_path
from underglass.watching import Watch, watch


@click.command("run", context_settings=COMMAND_SETTINGS)
@db_option
@content_option
@freeze_option
@keep_raw_options
@prices_option
@alerts_option
@on_finding_options
@click.option(
    "--record",
    "recording",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also keep the raw event stream, for `underglass replay`.",
)
@command_argument
def command(
    db: str | None,
    no_content: bool,
    freeze: bool,
    keep_raw: bool,
    raw_limit_bytes: int | None,
    prices: Path | None,
    alerts: Path | None,
    on_finding: tuple[str, ...],
    on_severity: str,
    recording: Path | None,
    cmd: tuple[str, ...],
) -> int:
    """Run CMD and watch it. Its input, output, terminal and exit code stay its own.

    Needs root. Under sudo, CMD runs as the user who called sudo.
    """
    path = store_path(db)
    summary = watch(
        Watch(
            description=f"run -- {shlex.join(cmd)}",
            store=path,
            content=not no_content,
            recording=recording.absolute() if recording else None,
            prices=prices,
            alerts=alerts,
            on_finding=whom_to_tell(on_finding, on_severity),
            raw_limit_bytes=raw_limit(keep_raw, raw_limit_bytes, no_content),
            command=cmd,
            freeze=freeze,
        )
    )
    summary.show(f"stored in {path}; see: underglass report")
    return summary.exit_code
