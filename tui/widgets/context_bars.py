"""What fills each request of a session: a line a request or a turn, with a bar of its parts.

In: a `SessionContext`. Out: a `LineList` whose cursor stays with its request. Parts differ by
colour and by glyph, so that they can be told apart without colours, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from analysis import cells
from analysis.context_anatomy import PARTS, growth, without_summaries
from analysis.context_fill import SessionContext
from analysis.result import Record
from tui.widgets.line_list import LineList, Part

GLYPHS: dict[str, str] = {
    "system_bytes": "▓", "tool_schema_bytes": "▒", "user_bytes": "█", "assistant_bytes": "▄",
    "tool_result_bytes": "░", "other_bytes": "·",
}  # fmt: skip
WORDS: dict[str, str] = {field: f"ctx-{field.removesuffix('_bytes')}" for field, _ in PARTS}
COLOURS: dict[str, str] = {
    "system_bytes": "$text-secondary", "tool_schema_bytes": "$text-accent",
    "user_bytes": "$text-success", "assistant_bytes": "$text-primary",
    "tool_result_bytes": "$text-warning", "other_bytes": "$text-muted",
}  # fmt: skip
_SHORT = {"system prompt": "system", "tool schemas": "schemas", "tool results": "results"}
_CUTS = {"request": "✂?", "after": "✂", "generic": "✂~"}


class ContextBars(LineList):
    """Requests, oldest first; the bars of all have one scale."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line-list--{word}" for word in WORDS.values()}
    DEFAULT_CSS = "\n".join(
        f"ContextBars > .line-list--{WORDS[field]} {{ color: {COLOURS[field]}; }}"
        for field, _ in PARTS
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.by_turn = False
        self.of_window = False
        self._answer: SessionContext | None = None
        self._rows: Sequence[Record] = ()
        self._counts: Sequence[int] = ()
        self._top = 1.0

    @property
    def current(self) -> Record | None:
        """The request under the cursor; of a turn its last."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    @property
    def can_show_window(self) -> bool:
        """Is the window of a model and a request's tokens known?"""
        return any(_share(row) is not None for row in self._rows)

    def show(self, answer: SessionContext, *, anew: bool) -> None:
        """These requests; `anew` begins at the last."""
        if answer == self._answer and not anew:
            return
        before = self.current
        at_end = anew or self.cursor >= len(self._rows) - 1
        self._answer = answer
        if self.by_turn:
            turns = growth(answer.rows)
            self._rows = [turn.last for turn in turns]
            self._counts = [len(turn.requests) for turn in turns]
        else:
            self._rows, self._counts = answer.rows, [1] * len(answer.rows)
        self._top = float(max((row["total_bytes"] for row in self._rows), default=0) or 1)
        self.lines_changed(len(self._rows) - 1 if at_end else self._place(before))

    def redraw(self) -> None:
        """With other lines or another scale."""
        if self._answer is not None:
            answer, before = self._answer, self.current
            self._answer = None
            self.show(answer, anew=False)
            self.lines_changed(self._place(before))

    def line_count(self) -> int:
        """Requests, or turns."""
        return len(self._rows)

    def line_parts(self, at: int, width: int) -> Sequence[Part]:
        """`turn  bytes  tokens  again  cache` and the bar."""
        row = self._rows[at]
        first = not at or self._rows[at - 1]["turn"] != row["turn"]
        turn = "–" if row["turn"] is None else str(row["turn"])
        count = f"×{self._counts[at]}" if self.by_turn else f"{row['position'] + 1}"
        again = row["resent_bytes"] / row["total_bytes"] if row["total_bytes"] else 0.0
        cache = cells.share(row["cache_read_tokens"], row["input_tokens"])
        numbers = (
            f"{turn if first else '':>4} {count:>5} {cells.tokens(row['total_bytes']).text:>6}"
            f" {_tokens(row):>6} {again:>5.0%} {cache.text:>5} "
        )
        cut = _CUTS.get(row["compaction"] or "", "")
        parts: list[Part] = [(numbers, ""), (f"{cut:<2} ", "warn")]
        room = max(0, width - len(numbers) - 9)
        return [*parts, *self._bar(row, room), _fill(row)]

    def heading(self) -> str:
        """Names of the columns."""
        count = "calls" if self.by_turn else "call"
        return f"{'turn':>4} {count:>5} {'bytes':>6} {'tokens':>6} {'again':>5} {'cache':>5} "

    def _bar(self, row: Record, room: int) -> list[Part]:
        share = _share(row) if self.of_window else row["total_bytes"] / self._top
        if share is None:
            return [("window not known".ljust(room)[:room], "dim")]
        length = round(room * min(1.0, share))
        parts: list[Part] = []
        drawn = sent = 0
        for field, _ in PARTS:
            sent += row[field]
            end = round(length * sent / row["total_bytes"]) if row["total_bytes"] else 0
            if end > drawn:
                parts.append((GLYPHS[field] * (end - drawn), WORDS[field]))
                drawn = end
        parts.append(("┈" * (room - drawn) if self.of_window else " " * (room - drawn), "dim"))
        return parts

    def _place(self, before: Record | None) -> int:
        if before is None:
            return len(self._rows) - 1
        position = before["position"]
        places = [at for at, row in enumerate(self._rows) if row["position"] >= position]
        return places[0] if places else len(self._rows) - 1


def legend() -> list[tuple[str, str]]:
    """The parts with their glyphs and colours."""
    parts: list[tuple[str, str]] = []
    for field, name in PARTS:
        parts += [(f"{GLYPHS[field]} ", COLOURS[field]), (f"{_SHORT.get(name, name)}  ", "")]
    return [*parts, ("✂ compacted", "$text-warning")]


def last_request(answer: SessionContext) -> Record | None:
    """The last request that works on the task."""
    rows = without_summaries(answer.rows)
    return rows[-1] if rows else None


def _share(row: Record) -> float | None:
    tokens, window = row["input_tokens"], row["window"]
    return tokens / window if tokens is not None and window else None


def _tokens(row: Any) -> str:
    return (cells.estimated_tokens if row["estimated"] else cells.tokens)(row["input_tokens"]).text


def _fill(row: Record) -> Part:
    share = _share(row)
    if share is None:
        return "    –", "dim"
    return f" {share:>4.0%}", "bad" if share >= 0.9 else "warn" if share >= 0.7 else ""
