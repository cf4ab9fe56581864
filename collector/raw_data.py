"""The raw data of captures, kept beside a store so that a later version can decode it again.

In: the redacted frames of a capture. Out: `<store>.raw/<capture_id>.uglass`, an ordinary
recording of bounded size, and what the capture's row and health say of it. A disk that fills up,
or the limit, ends what is kept, never the capture; frames that come after that are counted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from collector.capture_info import CaptureInfo
from collector.recording import RecordingFull, RecordingWriter
from collector.rows import Batch, CaptureRow, HealthRow
from probes.errors import UnderglassError

HEALTH_SOURCE = "raw_data"


class RawData:
    """Keeps the frames of one capture. `failure`: why it stopped, when it did.

    Raises UnderglassError when it cannot begin.
    """

    def __init__(self, store: Path, info: CaptureInfo, limit_bytes: int) -> None:
        directory = raw_directory(store)
        _make_private(directory)
        self.path = directory / f"{info.capture_id}.uglass"
        self._info = info
        self._recording = RecordingWriter(self.path, info, limit_bytes)
        self._state = "open"
        self._captured_bytes = 0
        self.failure: UnderglassError | None = None

    def add(self, frame: bytes) -> None:
        """Keep one frame."""
        self._captured_bytes += len(frame)
        if self._state == "open":
            self._try(lambda: self._recording.add(frame))

    def flush(self) -> None:
        """Write what is pending."""
        if self._state == "open":
            self._try(self._recording.flush)

    def close(self) -> None:
        """End the file."""
        self.flush()
        if self._state == "open" and self._try(self._recording.close):
            self._state = "whole"

    def _try(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except UnderglassError as error:
            self.failure = error
            self._state = "size_limit" if isinstance(error, RecordingFull) else "write_failed"
            return False
        return True

    def tell(self, batch: Batch) -> None:
        """Put what is known of the file into a batch that is about to be written."""
        batch.captures = [self._told(row) for row in batch.captures]
        if self.failure is not None:
            batch.health = [
                *batch.health,
                HealthRow(
                    self._info.capture_id,
                    HEALTH_SOURCE,
                    "unkept_bytes",
                    self._state,
                    self._captured_bytes - self._recording.kept_bytes,
                ),
            ]

    def _told(self, row: CaptureRow) -> CaptureRow:
        size_bytes = None if self._state == "open" else self._recording.written_bytes
        return replace(row, raw_path=str(self.path), raw_bytes=size_bytes, raw_state=self._state)


def raw_directory(store: Path) -> Path:
    """Where the raw data of a store's captures is."""
    return store.with_name(store.name + ".raw")


def raw_path(store: Path, capture_id: str, told: str | None) -> Path | None:
    """The raw data of a capture: as the store tells, else beside the store, which may have been
    moved with it; None when there is none."""
    beside = raw_directory(store) / f"{capture_id}.uglass"
    places = [Path(told)] if told else []
    return next((path for path in (*places, beside) if path.is_file()), None)


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(directory)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise UnderglassError(
                f"{directory} is not a directory of this user",
                hint=f"move it away: mv {directory} {directory}.old",
            )
        os.chmod(directory, 0o700)
    except OSError as error:
        raise UnderglassError(
            f"cannot make {directory}: {error.strerror}", hint="give another store with --db"
        ) from error
