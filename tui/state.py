"""What the whole dashboard shares: the last snapshot and how fresh it is.

In: set by `tui.app` whenever the store was looked at. Out: every screen and widget draws from it.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from tui.snapshot import Snapshot
from tui.view import Question, Scope


@dataclass(frozen=True, slots=True)
class FeedState:
    """`checked_at`: the last time the store answered. `problem`: why it does not answer now.

    `now`: the time of drawing, while there is nothing new; `interval_s`: how often it is asked.
    """

    snapshot: Snapshot | None = None
    checked_at: datetime.datetime | None = None
    problem: str | None = None
    paused: bool = False
    now: datetime.datetime | None = None
    interval_s: float | None = None

    @property
    def live(self) -> bool:
        """Whether a collector answered last."""
        return self.snapshot is not None and self.snapshot.live

    @property
    def age_s(self) -> float:
        """How old what is on the screen is, while nothing new comes."""
        if self.now is None or self.checked_at is None:
            return 0.0
        return max(0.0, (self.now - self.checked_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Asked:
    """What the main screen wants to know: which view asks, in which scope."""

    view: str
    scope: Scope
    question: Question


@dataclass(frozen=True, slots=True)
class Answered:
    """What the store said: a value for the view, or why there is none."""

    asked: Asked
    value: Any = None
    why: str | None = None
    hint: str | None = None
