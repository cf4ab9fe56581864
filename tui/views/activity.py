"""Activity: what each tool call caused, as a tree of programs, files and connections.

In: the `Line`s of `analysis.action_tree`, for the branches that are open. Out: the tree under a
cursor, which stays with its line. Only what is open is read; opening a branch asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from analysis.action_nodes import ACTIVITY, Key, Line
from analysis.action_reading import TreeQuestion
from analysis.action_tree import MOST_LINES
from analysis.columns import CONNECTIONS, FILES, PROCESSES, SESSIONS, TOOLS
from analysis.table_layout import Row, Table
from tui.keys import bind
from tui.view import Question, Scope, Subject, SubjectKind, View
from tui.widgets.line_list import LineList, Part, cut

_KINDS: dict[str, SubjectKind] = {
    "session": "session", "tool": "tool", "own": "session", "process": "process",
    "file": "row", "connection": "row",
}  # fmt: skip
_TABLES: dict[str, Table] = {
    "session": SESSIONS, "tool": TOOLS, "own": SESSIONS, "process": PROCESSES,
    "file": FILES, "connection": CONNECTIONS,
}  # fmt: skip
_SIGNS = {True: "▾ ", False: "▸ ", None: "  "}
_LEAST_LABEL = 24
_MOST_COLUMNS = 132  # beyond, a note would stand too far from what it is about
_MOST_DEPTH = 12  # levels of indentation on a narrow screen


class ActivityLines(LineList):
    """The tree: label on the left, note on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: tuple[Line, ...] = ()

    @property
    def current(self) -> Line | None:
        """The line under the cursor."""
        return self.lines[self.cursor] if 0 <= self.cursor < len(self.lines) else None

    def line_count(self) -> int:
        """All lines that are open."""
        return len(self.lines)

    def line_parts(self, at: int, width: int) -> Sequence[Part]:
        """Indentation, sign, label; the note where there is room for it."""
        line = self.lines[at]
        head = "  " * min(line.depth, _MOST_DEPTH) + _SIGNS[line.open]
        room = max(0, min(width, _MOST_COLUMNS) - len(head) - 1)
        note_cells = min(cell_len(line.note), max(room // 3, room - cell_len(line.label) - 2))
        if room - note_cells < _LEAST_LABEL:
            note_cells = max(0, room - _LEAST_LABEL)
        label_cells = room - note_cells - (1 if note_cells else 0)
        style = "head" if line.kind == "session" else line.style
        parts: list[Part] = [(head, "dim"), (cut(line.label, label_cells), style)]
        if note_cells:
            word = line.style if line.style in ("bad", "warn") else "dim"
            parts += [(" ", ""), (cut(line.note, note_cells), word)]
        return parts


class ActivityView(View):
    """What tool calls caused, and what the agent did by itself."""

    NAME = "activity"
    LABEL = "Acts"
    ABOUT = "What each tool call caused: programs, files, connections; and what nobody asked for."
    DEFAULT_CSS = """
    ActivityView {
        height: 1fr;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("fold"),
        bind("fold_all"),
        bind("parent"),
        bind("child"),
        bind("asked_by"),
        bind("next_mark", "mark(1)"),
        bind("previous_mark", "mark(-1)"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._scope = Scope()
        self._branches: Branches | None = None
        self._known = False
        self._key: Key | None = None

    @property
    def table(self) -> Table | None:
        """What the filter may name."""
        return ACTIVITY

    def compose(self) -> ComposeResult:
        """The tree."""
        yield ActivityLines()

    def question(self, scope: Scope) -> Question:
        """The open branches."""
        if scope != self._scope or self._branches is None:
            if scope.session_id != self._scope.session_id or self._branches is None:
                self._branches = Branches()
                self._known = False
            self._scope = scope
        now = self._branches
        return TreeQuestion(scope.session_id, scope.where, now.opened, now.closed, now.everything)

    def show(self, answer: tuple[Line, ...], scope: Scope) -> None:
        """Draw the lines; the cursor stays with its own, else with what it was part of."""
        if scope != self._scope:
            return
        tree = self._tree
        if answer == tree.lines and self._known:
            return
        if not self._known and self._branches is not None:
            first = frozenset(line.key for line in answer if line.kind == "session" and line.open)
            self._branches = Branches(first | self._branches.opened)
        self._known = True
        cursor = self._place(answer)
        tree.lines = answer
        tree.lines_changed(cursor)
        self._keep_key()

    def caption(self) -> Content:
        """What is on the screen."""
        if not self._known:
            return Content("Activity")
        lines = self._tree.lines
        marked = sum(line.marked for line in lines)
        parts: list[str | tuple[str, str]] = [f"Activity: {len(lines):,} lines"]
        if len(lines) >= MOST_LINES:
            parts.append((" (all that fit)", "$text-warning"))
        if marked:
            parts.append((f", {marked:,} failed, sensitive or unasked (n)", "$text-warning"))
        if self._scope.session_id is None:
            parts.append("  latest sessions first")
        return Content.assemble(*parts)

    def subject(self) -> Subject | None:
        """What the line under the cursor is about."""
        line = self._tree.current
        if line is None or line.kind == "more":
            return None
        record: Row = dict(line.record) or {"session_id": line.id}
        return Subject(_KINDS[line.kind], line.id, record, _TABLES[line.kind])

    def empty(self) -> bool:
        """Whether no line is there."""
        return self._known and not self._tree.lines

    def action_fold(self) -> None:
        """Open the branch, or close it."""
        line = self._tree.current
        if line is not None and line.open is not None:
            self._turn(line, not line.open)

    def action_fold_all(self) -> None:
        """Open every branch; once more, close them."""
        now = self._branches or Branches()
        sessions = frozenset(key for key in now.opened if key[0] == "session")
        self._branches = Branches(sessions, everything=not now.everything)
        self.post_message(self.QuestionChanged())

    def action_parent(self) -> None:
        """Close the branch; when it is closed, go to what it is part of."""
        tree = self._tree
        line = tree.current
        if line is None:
            return
        if line.open:
            self._turn(line, False)
            return
        above = self._above(tree.cursor)
        if above is not None:
            tree.cursor = above

    def action_child(self) -> None:
        """Open the branch; when it is open, go into it."""
        line = self._tree.current
        if line is None or line.open is None:
            return
        if line.open:
            self._tree.cursor += 1
        else:
            self._turn(line, True)

    def action_asked_by(self) -> None:
        """Go to the tool call that caused this; on a tool call, open it."""
        tree = self._tree
        at: int | None = tree.cursor
        if tree.current is not None and tree.current.kind == "tool":
            self._open_subject()
            return
        while at is not None and tree.lines:
            at = self._above(at)
            if at is not None and tree.lines[at].kind == "tool":
                tree.cursor = at
                return
        self.notify("No tool call asked for this")

    def action_mark(self, step: int) -> None:
        """Go to the next line, or the previous one, that failed, is sensitive or unasked."""
        tree = self._tree
        at = tree.cursor + step
        while 0 <= at < len(tree.lines):
            if tree.lines[at].marked:
                tree.show_around(at)
                return
            at += step
        self.notify("No more that way; * opens all branches")

    def on_line_list_line_opened(self, message: LineList.LineOpened) -> None:
        """A branch opens or closes; anything else is looked at more closely."""
        message.stop()
        line = self._tree.current
        if line is not None and line.open is not None:
            self._turn(line, not line.open)
        else:
            self._open_subject()

    def on_line_list_cursor_moved(self, message: LineList.CursorMoved) -> None:
        """Remember the line."""
        message.stop()
        self._keep_key()

    @property
    def _tree(self) -> ActivityLines:
        return self.query_one(ActivityLines)

    def _open_subject(self) -> None:
        subject = self.subject()
        if subject is not None:
            self.post_message(self.Opened(subject))

    def _turn(self, line: Line, is_open: bool) -> None:
        assert self._branches is not None
        self._branches = self._branches.turned(line.key, is_open)
        self.post_message(self.QuestionChanged())

    def _above(self, at: int) -> int | None:
        lines = self._tree.lines
        depth = lines[at].depth
        return next((up for up in range(at - 1, -1, -1) if lines[up].depth < depth), None)

    def _place(self, lines: Sequence[Line]) -> int:
        """Where the cursor's line is now, or the nearest one above it that is left."""
        tree = self._tree
        if self._key is None or not tree.lines:
            return 0
        places = {line.key: at for at, line in enumerate(lines)}
        at: int | None = min(tree.cursor, len(tree.lines) - 1)
        while at is not None:
            if tree.lines[at].key in places:
                return places[tree.lines[at].key]
            at = self._above(at)
        return min(tree.cursor, max(0, len(lines) - 1))

    def _keep_key(self) -> None:
        line = self._tree.current
        if line is not None:
            self._key = line.key


@dataclass(frozen=True, slots=True)
class Branches:
    """Which branches are open: those, or all but the closed ones."""

    opened: frozenset[Key] = frozenset()
    closed: frozenset[Key] = frozenset()
    everything: bool = False

    def turned(self, key: Key, is_open: bool) -> Branches:
        """With one branch opened or closed."""
        one = {key}
        if is_open:
            return Branches(self.opened | one, self.closed - one, self.everything)
        return Branches(self.opened - one, self.closed | one, self.everything)
