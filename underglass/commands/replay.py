"""`underglass replay`: decode a recording into a store."""

from __future__ import annotations

from pathlib import Path

import click

from underglass import privileges
from underglass.limits import runaway_limits
from underglass.options import content_option, db_option, prices_option
from underglass.paths import (
    fingerprint_salt,
    invoker,
    make_private,
    state_directory,
    store_path,
)
from underglass.prices import price_file, price_overrides


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@db_option
@content_option
@prices_option
def command(file: Path, db: str | None, no_content: bool, prices: Path | None) -> int:
    """Decode the recording FILE into the store: the rows that the capture itself would give.

    Replaying twice changes nothing. Needs no root.
    """
    from underglass.decoded_recording import Settings, store_recording

    path, state = store_path(db), state_directory()
    overrides, limits = price_overrides(price_file(prices)), runaway_limits()
    privileges.drop(invoker())  # what is stored belongs to the user, also under sudo
    make_private(path.parent)
    settings = Settings(fingerprint_salt(state), overrides, limits, content=not no_content)
    summary, damage = store_recording(file, path, settings)
    if damage:
        click.echo(f"underglass: {file}: {damage}", err=True)
    summary.show(f"stored in {path}; see: underglass report")
    return 1 if damage else 0
