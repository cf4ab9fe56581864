"""Decodes raw data again, with the decoders of this version, and exchanges what a store holds.

In: a recording, of a capture that the store has or that it has not. Out: the store with the rows
that decoding it now gives, and a `Redecoded`. The new rows are first written into a store of
their own beside the other, so that whatever ends the work in the middle leaves that as it was.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb

from collector.capture_info import CaptureInfo
from collector.database import run
from collector.decoding import Decoded, Progress, decode
from collector.pricing import Override
from collector.raw_data import raw_path
from collector.recording import RecordingReader
from collector.redaction import Redactor
from collector.replacement import Change, Replacement
from collector.rows import CaptureRow
from collector.store import Store
from collector.store_errors import StoreError, StoreWriteFailed


class NothingReadable(StoreError):
    """Raw data of a stored capture without one whole frame."""

    def __init__(self, path: Path, damage: str | None) -> None:
        super().__init__(
            f"{path} holds nothing that can be decoded ({damage or 'it is empty'});"
            " what is stored was left as it is",
            hint="see which captures have raw data:"
            ' underglass sql "SELECT capture_id, raw_path, raw_bytes FROM captures"',
        )


@dataclass(frozen=True, slots=True)
class Redecoded:
    """One capture that was decoded again. `damage`: what of its raw data could not be read."""

    info: CaptureInfo
    source: Path
    frames: int
    damage: str | None
    change: Change


@dataclass(frozen=True, slots=True)
class KeptCapture:
    """A capture in the store, and its raw data; None: there is none."""

    capture_id: str
    command: str
    raw: Path | None


def captures_of(store: Store) -> list[KeptCapture]:
    """Every capture in the store, oldest first."""
    cursor = store.cursor()
    try:
        found = run(cursor, "SELECT capture_id, command, raw_path FROM capture ORDER BY started_ns")
    finally:
        cursor.close()
    return [
        KeptCapture(capture_id, command, raw_path(store.path, capture_id, told))
        for capture_id, command, told in found
    ]


def redecode(
    store: Store,
    source: Path,
    redactor: Redactor,
    *,
    version: str,
    content: bool = True,
    overrides: tuple[Override, ...] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Redecoded:
    """Decode the recording at `source` and put it in the place of what is stored of its capture.

    Where it is damaged or ends before what is stored does, only calls that ended in it are
    exchanged, unless `force`. With `dry_run` the store stays as it is. Raises UnderglassError.
    """
    reader = RecordingReader(source)
    directory = _work_directory(store.path)
    try:
        with Store.open(directory / "decoded.db", content=content) as fresh:
            decoded = decode(
                reader,
                redactor,
                fresh.write,
                version=version,
                content=content,
                overrides=overrides,
                progress=progress,
            )
            capture = _row_of(reader.info)
            cursor = fresh.cursor()
            try:
                change = store.transact(
                    lambda connection: _exchange(
                        connection, cursor, capture, decoded, source, force, dry_run
                    )
                )
            finally:
                cursor.close()
    finally:
        reader.close()
        shutil.rmtree(directory, ignore_errors=True)
    return Redecoded(reader.info, source, decoded.frames, decoded.damage, change)


def _exchange(
    connection: duckdb.DuckDBPyConnection,
    fresh: duckdb.DuckDBPyConnection,
    capture: CaptureRow,
    decoded: Decoded,
    source: Path,
    force: bool,
    dry_run: bool,
) -> Change:
    if not decoded.frames:
        known = run(connection, "SELECT 1 FROM capture WHERE capture_id = ?", capture.capture_id)
        if known:
            raise NothingReadable(source, decoded.damage)
    return Replacement(connection, fresh, capture, decoded, force=force).apply(dry_run=dry_run)


def _row_of(info: CaptureInfo) -> CaptureRow:
    return CaptureRow(
        info.capture_id,
        info.started_ns,
        None,
        info.command,
        info.version,
        info.boot_id,
        info.kernel,
    )


def _work_directory(store: Path) -> Path:
    """A new directory beside the store, of which this process is the one owner; what a process
    that was killed left there is removed."""
    prefix = f"{store.name}.redecode-"
    for left in store.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=os.fspath(store.parent)))
    except OSError as error:
        raise StoreWriteFailed(store, error.strerror or str(error)) from error
