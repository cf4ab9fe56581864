"""Findings told when they are found.

In: findings of the live analyst, from its thread. Out: a JSON line each, as `report --json` has
them, to a file or to standard error, at once; and whom `underglass.on_finding` tells.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from probes.errors import UnderglassError
from underglass.on_finding import Notifier, OnFinding

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


class Told:
    """Everybody who is told of findings."""

    def __init__(self, alerts: Path | None, on_finding: OnFinding | None) -> None:
        """Raises UnderglassError when the file of alerts cannot be written."""
        self._told: list[Alerts | Notifier] = []
        if alerts is not None:
            self._told.append(Alerts(alerts))
        if on_finding is not None:
            self._told.append(Notifier(on_finding))

    def __call__(self, finding: Finding) -> None:
        """Tell all; waits for no command and no network."""
        for one in self._told:
            one(finding)

    def close(self) -> None:
        """End: commands and URLs are given a few seconds more."""
        for one in self._told:
            one.close()
