"""Which store a command reads: the service's, when it runs, else a file.

In: `--db`. Out: a `ReadingPlace`, and on a terminal one line about who answered. With `--db` or
`$UNDERGLASS_DB` it is that file, or the collector that owns it; without, the collector that
serves this host (`underglass serve`) when it answers, else the user's own store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from underglass import config
from underglass.paths import store_path

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.reading_place import ReadingPlace

STATE_DIRECTORY = Path("/var/lib/underglass")
RUNTIME_DIRECTORY = Path("/run/underglass")
PATIENCE_S = 10.0  # with a collector that listens, but waits for the processor


def service_store() -> Path:
    """The service's store, as the service itself finds it."""
    return _first("STATE_DIRECTORY", STATE_DIRECTORY) / "underglass.db"


def service_socket() -> Path | None:
    """The setting `serve.socket`, else in systemd's or the usual runtime directory; None when the
    variable is empty, which turns the service off for readers."""
    if os.environ.get("UNDERGLASS_SOCKET") == "":
        return None
    chosen = config.given("serve.socket")
    return Path(chosen) if chosen else runtime_directory() / "query.sock"


def runtime_directory() -> Path:
    """Where the service's socket is, unless it is put elsewhere."""
    return _first("RUNTIME_DIRECTORY", RUNTIME_DIRECTORY)


def _first(variable: str, usual: Path) -> Path:
    """The first directory of a variable that systemd sets."""
    return Path(os.environ.get(variable, "").partition(":")[0] or usual)


@contextmanager
def reading_from(db: str | None, *, analysed: bool = False) -> Iterator[Reader]:
    """The reader of a command that reads once; `analysed`: sessions are analysed first.

    What reads again and again keeps a `reading_place` and opens that. Raises `UnderglassError`.
    """
    from underglass.analysed import analysed_reader

    place = reading_place(db)
    with analysed_reader(place) if analysed else place.open() as reader:
        tell_source(place, reader)
        yield reader


def tell_source(place: ReadingPlace, reader: Reader) -> None:
    """Say on standard error who answers, when that is a terminal."""
    if sys.stderr.isatty():
        click.secho(f"from {place.describe(reader.source)}", err=True, dim=True)


def reading_place(db: str | None) -> ReadingPlace:
    """Where to read. Raises `CollectorForbidden` when only the service has something to read."""
    from analysis.reading_place import ReadingPlace
    from collector.query_client import QueryClient
    from collector.store_errors import CollectorForbidden

    path, socket = store_path(db), service_socket()
    named = bool(db or config.given("db"))
    if socket is None or not os.path.lexists(socket.parent) or (named and _readable(path)):
        return ReadingPlace(path)
    try:
        with QueryClient(str(socket)) as client:
            answering = client.about(PATIENCE_S)
        if not named or answering.store == path:
            return ReadingPlace(answering.store, str(socket))
    except FileNotFoundError:
        pass  # no service here
    except PermissionError as error:
        if not named:
            forbidden = CollectorForbidden(str(socket))
            if not _readable(path):
                raise forbidden from error
            _warn(f"{forbidden}; {forbidden.hint}")
    except OSError as error:
        if not named:
            _warn(f"the collector at {socket} does not answer ({error.strerror or error})")
    return ReadingPlace(path)


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


def _warn(text: str) -> None:
    click.echo(f"underglass: {text}; reading the user's own store", err=True)
