"""`underglass top`: the live dashboard."""

from __future__ import annotations

import sys

import click

from probes.errors import UnderglassError
from underglass.options import db_option
from underglass.paths import store_path


@click.command("top")
@db_option
def command(db: str | None) -> int:
    """Show sessions, calls and findings as they come in, and every message on Enter.

    Reads a store that nobody writes, or one that a collector writes right now. `?` helps,
    `q` quits. Needs no root.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UnderglassError(
            "top needs a terminal",
            hint="for scripts: `underglass report`, or `underglass calls --json`",
            exit_code=2,
        )
    from analysis.reading import open_reader

    path = store_path(db)
    with open_reader(path):
        pass
    from tui.app import UnderglassApp

    app = UnderglassApp(path)
    app.run()
    return app.return_code or 0
