"""What the parts of the dashboard tell each other.

In: posted by widgets and by the thread that reads the store. Out: handled by `tui.app` and the
screens.
"""

from __future__ import annotations

from textual.message import Message

from analysis.reading import CallDetail
from analysis.table_layout import Row, Table
from tui.snapshot import Snapshot


class SnapshotTaken(Message):
    """The store was looked at. `snapshot` is None when nothing changed."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        super().__init__()
        self.snapshot = snapshot


class ReadFailed(Message):
    """The store cannot be read now."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class FindingsLooked(Message):
    """The store was looked through for findings, or could not be."""


class CallLoaded(Message):
    """A call with its messages; or why there is none."""

    def __init__(self, detail: CallDetail | None, why: str = "") -> None:
        super().__init__()
        self.detail = detail
        self.why = why


class RowOpened(Message):
    """A row was chosen."""

    def __init__(self, table: Table, row: Row) -> None:
        super().__init__()
        self.table = table
        self.row = row


class SortAsked(Message):
    """A column's header was clicked."""

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column


class ViewAsked(Message):
    """A numbered view was clicked."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class FilterChanged(Message):
    """The filter's text, at each key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
