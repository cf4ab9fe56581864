"""What the parts of the dashboard tell each other.

In: posted by widgets and by the thread that reads the store. Out: handled by `tui.app` and the
screens.
"""

from __future__ import annotations

from textual.message import Message

from tui.snapshot import Snapshot
from tui.state import Answered


class SnapshotTaken(Message):
    """The store was looked at, and this is what all screens show of it."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class ViewAnswered(Message):
    """The store answered a view's question, or refused it."""

    def __init__(self, answered: Answered) -> None:
        super().__init__()
        self.answered = answered


class LookEnded(Message):
    """The store was looked at, whether it had anything new or not."""


class ReadFailed(Message):
    """The store cannot be read now."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class RowOpened(Message):
    """The row under the cursor was chosen."""


class SortAsked(Message):
    """A column's header was clicked."""

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column


class PageWanted(Message):
    """The table was scrolled to rows that it does not hold."""


class ViewAsked(Message):
    """A view was chosen by its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class FilterChanged(Message):
    """The filter's text, at each key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
