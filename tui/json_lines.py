"""JSON as a tree of lines that open and close.

In: a value, and which of its objects and lists were opened or closed by hand. Out: lines with words
of style (key, string, number, word, dim), each with the path that a click on it folds. Of wide
objects and long texts the beginning is shown. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import islice
from typing import Any, NamedTuple

import orjson

from analysis.cells import printable
from tui.text_lines import Line, Part, wrapped

Path = tuple[int, ...]
"""The place of a value: of each object or list around it, which of its items."""

MAX_CHILDREN = 200
MAX_TEXT_LINES = 40
MAX_TEXT_CHARS = 4_000
MAX_PARSED_CHARS = 2_000_000
_MAX_DEPTH = 40


class TreeLine(NamedTuple):
    """A line, and what a click on it folds; None: nothing."""

    line: Line
    path: Path | None = None


def parsed(text: str) -> Any:
    """The object or list that a text holds as JSON; None when it holds none."""
    start = text[:64].lstrip()[:1]
    if start not in ("{", "[") or len(text) > MAX_PARSED_CHARS:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict | list) and value else None


def json_lines(
    value: Any, width: int, depth: int, toggled: Set[Path], label: tuple[Part, ...] = ()
) -> Iterator[TreeLine]:
    """The tree, open to `depth` but for the paths in `toggled`. `label` stands before its root."""
    yield from _Tree(width, depth, toggled).lines(value, label, (), 0)


class _Tree:
    def __init__(self, width: int, depth: int, toggled: Set[Path]) -> None:
        self._width = width
        self._depth = depth
        self._toggled = toggled

    def lines(
        self, value: Any, label: tuple[Part, ...], path: Path, level: int
    ) -> Iterator[TreeLine]:
        indent: Part = ("  " * level, "")
        if not isinstance(value, dict | list) or not value:
            yield from self._leaf(value, label, indent)
            return
        opened = (level < self._depth) != (path in self._toggled) and level < _MAX_DEPTH
        sign = "▾ " if opened else "▸ "
        items = "key" if isinstance(value, dict) else "item"
        count = f"{len(value):,} {items}{'' if len(value) == 1 else 's'}"
        about = f"{{{count}}}" if isinstance(value, dict) else f"[{count}]"
        [head, *_] = wrapped([*label, (about, "dim")], self._width, (indent, (sign, "dim")))
        yield TreeLine(head, path)
        if not opened:
            return
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for number, (key, child) in enumerate(islice(pairs, MAX_CHILDREN)):
            name = printable(str(key)).replace("\n", "␊")[:200]
            mark: tuple[Part, ...] = ((f"{name}: ", "key" if isinstance(value, dict) else "dim"),)
            yield from self.lines(child, mark, (*path, number), level + 1)
        if len(value) > MAX_CHILDREN:
            yield TreeLine(
                (("  " * (level + 1), ""), (f"… {len(value) - MAX_CHILDREN:,} more", "dim"))
            )

    def _leaf(self, value: Any, label: tuple[Part, ...], indent: Part) -> Iterator[TreeLine]:
        lead: Line = (indent, ("  ", ""))
        then: Line = (indent, ("    ", ""))
        if not isinstance(value, str):
            word = "number" if isinstance(value, int | float) and value is not True else "word"
            word = "word" if isinstance(value, bool) else word
            shown = orjson.dumps(value, default=str).decode()
            for line in wrapped([*label, (shown, word)], self._width, lead, then):
                yield TreeLine(line)
            return
        text = printable(value[:MAX_TEXT_CHARS])
        said = text.split("\n")
        left_out = len(value) - MAX_TEXT_CHARS
        if len(said) == 1:
            more = f"… {left_out:,} more characters" if left_out > 0 else ""
            parts: list[Part] = [*label, (text.expandtabs(4), "string"), (more, "dim")]
            for line in wrapped(parts, self._width, lead, then):
                yield TreeLine(line)
            return
        yield TreeLine((*lead, *label))
        bar: Line = (*then, ("│ ", "dim"))
        for each in said[:MAX_TEXT_LINES]:
            for line in wrapped([(each.expandtabs(4), "string")], self._width, bar, bar):
                yield TreeLine(line)
        rest = len(value) - sum(len(each) + 1 for each in said[:MAX_TEXT_LINES])
        if rest > 0:
            yield TreeLine((*then, (f"… {rest:,} more characters", "dim")))
