"""`underglass attach`: watch processes that already run, or the whole host."""

from __future__ import annotations

from pathlib import Path

import click

from underglass.on_finding import whom_to_tell
from underglass.options import (
    alerts_option,
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


@click.command("attach")
@click.option(
    "--pid", "pids", type=int, multiple=True, metavar="P", help="A process and its children."
)
@click.option(
    "--name", "names", multiple=True, metavar="N", help="Programs of this name, also later ones."
)
@click.option("--all", "everything", is_flag=True, help="Every process on this host.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop after."
)
@db_option
@content_option
@freeze_option
@keep_raw_options
@prices_option
@alerts_option
@on_finding_options
def command(
    pids: tuple[int, ...],
    names: tuple[str, ...],
    everything: bool,
    seconds: float | None,
    db: str | None,
    no_content: bool,
    freeze: bool,
    keep_raw: bool,
    raw_limit_bytes: int | None,
    prices: Path | None,
    alerts: Path | None,
    on_finding: tuple[str, ...],
    on_severity: str,
) -> int:
    """Watch running agents until Ctrl-C. They are not changed; they are stopped for a moment only
    with --freeze. Needs root.
    """
    import os

    if not (pids or names or everything):
        raise click.UsageError("say what to watch: --pid P, --name N or --all")
    for pid in pids:
        if not os.path.exists(f"/proc/{pid}"):
            raise click.UsageError(f"no process {pid}")
    limit_bytes = raw_limit(keep_raw, raw_limit_bytes, no_content)
    path = store_path(db)
    chosen = [f"--pid {pid}" for pid in pids] + [f"--name {name}" for name in names]
    summary = watch(
        Watch(
            description=" ".join(["attach", *chosen, *(["--all"] if everything else [])]),
            greeting="attached; Ctrl-C stops",
            store=path,
            content=not no_content,
            pids=pids,
            names=names,
            everything=everything,
            seconds=seconds,
            freeze=freeze,
            raw_limit_bytes=limit_bytes,
            prices=prices,
            alerts=alerts,
            on_finding=whom_to_tell(on_finding, on_severity),
        )
    )
    summary.show(f"stored in {path}; see: underglass report")
    return 0
