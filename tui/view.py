"""What a numbered view is: what it wants to know of the store, and how it draws the answer.

In: a `Scope`, to which the user narrowed the dashboard. Out: a `Question`, which a worker thread
puts to the store, again whenever the store changed; the answer comes back to `View.show` in the
thread that draws. A view never reads the store itself and keeps no more than its last answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from analysis.reading import Reader
from analysis.table_layout import Row, Table

SubjectKind = Literal["session", "call", "tool", "finding", "process", "row"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: one session or all, and the text of the filter (`analysis.where`)."""

    session_id: str | None = None
    where: str = ""


class Question(Protocol):
    """A frozen dataclass. Equal questions have equal answers as long as the store is the same."""

    def read(self, reader: Reader) -> Any:
        """The answer, frozen, and bounded by what fits a screen. Runs in a worker thread.

        Raises `UnderglassError`; a BadFilter is shown beside the filter.
        """


@dataclass(frozen=True, slots=True)
class Subject:
    """What the cursor is on: Enter opens it, `y` copies it, `e` exports it.

    `key` is the id of that kind (session_id, call_id, tool_call_id, finding_id, process_key);
    `record` is everything that the view knows of it.
    """

    kind: SubjectKind
    key: str
    record: Row
    table: Table | None = None


class View(Widget):
    """One numbered view. Subclasses set the class variables and the four methods below."""

    NAME: ClassVar[str]
    """As in `--view` and in tests: one lower-case word."""
    LABEL: ClassVar[str]
    """As in the bar at the top: short enough that nine fit 80 columns (at most 7 letters)."""
    ABOUT: ClassVar[str]
    """One sentence for help and the command palette."""

    class QuestionChanged(Message):
        """What the view wants to know is another thing now: it was sorted, zoomed, scrolled."""

    class Opened(Message):
        """The user chose something to look at more closely."""

        def __init__(self, subject: Subject) -> None:
            super().__init__()
            self.subject = subject

    @property
    def table(self) -> Table | None:
        """The table whose columns the filter and the help name, if there is one."""
        return None

    def question(self, scope: Scope) -> Question:
        """What to read of the store."""
        raise NotImplementedError

    def show(self, answer: Any, scope: Scope) -> None:
        """Draw an answer to `question(scope)`. Called often: cells are changed in place, the
        cursor stays with its subject, equal answers cost nothing.
        """
        raise NotImplementedError

    def caption(self) -> Content:
        """What is shown, in a line: how many of what, in which order."""
        raise NotImplementedError

    def subject(self) -> Subject | None:
        """What the cursor is on."""
        return None

    def empty(self) -> bool:
        """Whether the last answer held nothing to draw: the screen says why in its place."""
        return False
