"""What the whole dashboard shares: the last snapshot and how fresh it is.

In: set by `tui.app` whenever the store was looked at. Out: every screen and widget draws from it.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from analysis.columns import CALLS, COVERAGE, FINDINGS, HEALTH, PROCESSES, SESSIONS, TOOLS
from tui.snapshot import Snapshot

VIEWS = (SESSIONS, CALLS, TOOLS, FINDINGS, PROCESSES, HEALTH, COVERAGE)
"""The numbered views, from 1 on."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """`checked_at`: the last time the store answered. `problem`: why it does not answer now."""

    snapshot: Snapshot | None = None
    checked_at: datetime.datetime | None = None
    problem: str | None = None
    paused: bool = False

    @property
    def live(self) -> bool:
        """Whether a collector answered last."""
        return self.snapshot is not None and self.snapshot.source != "file"
