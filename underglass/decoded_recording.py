"""A recording decoded into a store: for good by `replay`, for as long as one looks by `top`.

In: a file of `underglass record`. Out: a store with its rows, analysed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from underglass import __version__
from underglass.analysed import analysed_with_bar
from underglass.limits import runaway_limits
from underglass.paths import fingerprint_salt, state_directory
from underglass.prices import price_file, price_overrides
from underglass.progress import BYTES_FROM, progress_bar
from underglass.summary import Summary

if TYPE_CHECKING:
    from analysis.runaways import RunawayLimits
    from collector.pricing import Override

_HEAD_BYTES = 12


@dataclass(frozen=True, slots=True)
class Settings:
    """What decoding depends on besides the recording."""

    salt: bytes
    overrides: tuple[Override, ...]
    limits: RunawayLimits
    content: bool = True


def store_recording(file: Path, store: Path, settings: Settings) -> tuple[Summary, str | None]:
    """Decode a recording into a store, new or not, and analyse that; what was decoded, and what
    of the recording is damaged.

    Raises what `RecordingReader` and `Store` raise.
    """
    from analysis.analyst import Analyst
    from collector.decoding import decode
    from collector.recording import RecordingReader
    from collector.redaction import Redactor
    from collector.rows import Batch
    from collector.store import Store

    reader = RecordingReader(file)
    summary = Summary()
    with Store.open(store, content=settings.content) as opened:

        def write(batch: Batch) -> None:
            summary.add(batch)
            opened.write(batch)

        with progress_bar(f"decoding {file.name}", reader.size_bytes, least=BYTES_FROM) as progress:
            decode(
                reader,
                Redactor(settings.salt),
                write,
                version=__version__,
                content=settings.content,
                overrides=settings.overrides,
                progress=progress,
            )
        analysed_with_bar(opened, Analyst(opened, limits=settings.limits))
    return summary, reader.damage


def is_recording(file: Path) -> bool:
    """Whether the file begins as a recording does. Raises OSError."""
    from collector.recording import MAGIC

    with file.open("rb") as opened:
        return opened.read(_HEAD_BYTES).startswith(MAGIC)


@contextmanager
def passing_store(file: Path) -> Iterator[Path]:
    """A store of a recording's rows, in a directory that is removed at the end."""
    settings = Settings(
        fingerprint_salt(state_directory()), price_overrides(price_file(None)), runaway_limits()
    )
    with tempfile.TemporaryDirectory(prefix="underglass-") as folder:
        store = Path(folder) / f"{file.stem}.db"
        _, damage = store_recording(file, store, settings)
        if damage:
            click.echo(f"underglass: {file}: {damage}", err=True)
        yield store
