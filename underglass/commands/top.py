"""`underglass top`: the live dashboard."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probes.errors import UnderglassError
from underglass.configured_context import from_command_line
from underglass.options import db_option
from underglass.settings import SETTINGS

VIEWS = next(one.choices for one in SETTINGS if one.key == "top.view")

if TYPE_CHECKING:
    from analysis.reading_place import ReadingPlace


@click.command("top")
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@db_option
@click.option(
    "--view",
    type=click.Choice(VIEWS),
    default=VIEWS[0],
    metavar="VIEW",
    help=f"Begin with this view: {', '.join(VIEWS)}.",
)
@click.option("--theme", metavar="NAME", help="Its colours: nord, dracula, textual-light...")
@click.option(
    "--refresh",
    "refresh_s",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Look at the store so often. Default: 0.4.",
)
@click.option("--no-capture", is_flag=True, help="Only read, also as root.")
@click.option(
    "--web",
    "port",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=0,
    metavar="[PORT]",
    help="Show it in a browser of this machine instead, at an address that carries a token. "
    "Without PORT any that is free.",
)
def command(
    file: Path | None,
    db: str | None,
    view: str,
    theme: str | None,
    refresh_s: float | None,
    no_capture: bool,
    port: int | None,
) -> int:
    """Show sessions, calls and findings as they come in, and every message on Enter.

    Reads the service when it runs, or FILE: a store, or a recording of `underglass record`. As
    root, without a service or a store named, it captures the whole host into the user's own store
    while it is open; the view itself runs without privileges. `?` helps, `q` quits.
    """
    in_browser = "TEXTUAL_DRIVER" in os.environ  # started by `underglass.web`
    if port is None and not in_browser and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UnderglassError(
            "top needs a terminal",
            hint="for scripts: `underglass report`, or `underglass calls --json`",
            exit_code=2,
        )
    db = db if from_command_line("db") else None  # what is configured, `reading_place` knows
    if file is not None and db:
        raise click.UsageError("name a FILE or --db, not both")
    from underglass.top_settings import top_settings

    settings = top_settings(theme, refresh_s)
    with ExitStack() as stack:
        place = _place(stack, file, db, no_capture)
        with place.open():
            pass
        if port is not None:
            _serve(place, port, ["--view", view, *(["--theme", theme] if theme else [])])
            return 0
        from tui.app import UnderglassApp

        app = UnderglassApp(place, settings=settings, first=view)
        app.run()
        return app.return_code or 0


def _serve(place: ReadingPlace, port: int, options: list[str]) -> None:
    """Until Ctrl-C; a window's dashboard reads the same place."""
    from underglass import privileges
    from underglass.paths import invoker
    from underglass.web.server import DashboardServer

    named = [] if place.socket is not None else ["--db", str(place.path)]
    window = [sys.executable, "-m", "underglass", "top", "--no-capture", *named, *options]
    privileges.drop_all(invoker())

    def announce(address: str) -> None:
        click.echo(f"underglass: open {address}", err=True)
        click.echo("underglass: for this machine's browsers only; Ctrl-C ends it", err=True)

    DashboardServer(window, port, announce).serve()


def _place(stack: ExitStack, file: Path | None, db: str | None, no_capture: bool) -> ReadingPlace:
    """What to show; what must end with the view is put on the stack."""
    from analysis.reading_place import ReadingPlace
    from collector.ownership import is_owned
    from underglass.service import reading_place

    if file is not None:
        from underglass.decoded_recording import is_recording, passing_store

        if is_recording(file):
            return ReadingPlace(stack.enter_context(passing_store(file)))
        return ReadingPlace(file.absolute())
    place = reading_place(db)
    if db or place.socket is not None or is_owned(place.path)[0]:
        return place
    if os.geteuid() == 0 and not no_capture:
        from underglass import privileges
        from underglass.own_capture import OwnCapture
        from underglass.paths import invoker

        stack.enter_context(OwnCapture(place.path))
        privileges.drop_all(invoker())
    elif not os.path.exists(place.path):
        raise UnderglassError(
            f"nothing to show: no collector runs, and there is no store at {place.path}",
            hint="`sudo underglass top` watches this host, `sudo underglass run -- COMMAND` one "
            "agent; `underglass top FILE` shows a recording or another store",
        )
    return place
