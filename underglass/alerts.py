"""Findings as JSON lines, written when they are found.

In: findings of the live analyst, from its thread. Out: a line each, as `report --json` has them,
to a file or to standard error, at once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from probes.errors import UnderglassError

if TYPE_CHECKING:
    from analysis.steps import Finding


class Alerts:
    """Writes each finding as one line. The file is appended to and is its owner's alone."""

    def __init__(self, path: Path) -> None:
        """Raises UnderglassError when the file cannot be written."""
        self._own = str(path) != "-"
        self._stream: TextIO
        if not self._own:
            self._stream = sys.stderr
            return
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnderglassError(
                f"alerts cannot be written to {path}: {error.strerror}",
                hint="name a file in a directory that you may write, or - for standard error",
                exit_code=2,
            ) from error
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)

    def __call__(self, finding: Finding) -> None:
        """Write one; a stream that is gone or full ends nothing."""
        from analysis.findings import finding_records

        (record,) = finding_records([finding])
        try:
            self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass

    def close(self) -> None:
        """End."""
        if self._own:
            try:
                self._stream.close()
            except OSError:
                pass
