"""`underglass replay`: decode a recording into a store."""

from __future__ import annotations

from pathlib import Path

import click

from underglass import __version__, privileges
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
from underglass.summary import Summary


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@db_option
@content_option
@prices_option
def command(file: Path, db: str | None, no_content: bool, prices: Path | None) -> int:
    """Decode the recording FILE into the store: the rows that the capture itself would give.

    Replaying twice changes nothing. Needs no root.
    """
    from analysis.analyst import analyse
    from collector.decoding import decode
    from collector.recording import RecordingReader
    from collector.redaction import Redactor
    from collector.rows import Batch
    from collector.store import Store

    path, state = store_path(db), state_directory()
    overrides, limits = price_overrides(price_file(prices)), runaway_limits()
    privileges.drop(invoker())  # what is stored belongs to the user, also under sudo
    reader = RecordingReader(file)
    make_private(path.parent)
    summary = Summary()
    redactor = Redactor(fingerprint_salt(state))
    with Store.open(path, content=not no_content) as store:

        def write(batch: Batch) -> None:
            summary.add(batch)
            store.write(batch)

        decode(
            reader,
            redactor,
            write,
            version=__version__,
            content=not no_content,
            overrides=overrides,
        )
        analyse(store, limits=limits)
    if reader.damage:
        click.echo(f"underglass: {file}: {reader.damage}", err=True)
    summary.show(f"stored in {path}; see: underglass report")
    return 1 if reader.damage else 0
