"""Markdown as styled lines, quickly and without hiding anything.

In: printable text as models write it. Out: lines that fit a width; words of style: head, bold,
italic, code, link, quote, dim. A subset, line by line: headings, emphasis, code, links, lists,
quotes, fences, rules, tables. Marks that are drawn otherwise go; any other character stays, HTML
and comments too, and lines stay lines. Work grows with the length of the text alone. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tui.text_lines import Line, Part, line_length, wrapped

MAX_TABLE_ROWS = 200
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
_ITEM = re.compile(r"([ \t]*)([-*+]|\d{1,9}[.)])[ \t]+(.*)$")
_TASK = re.compile(r"\[([ xX])\][ \t]+(.*)$")
_QUOTE = re.compile(r" {0,3}((?:>[ \t]?){1,8})(.*)$")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([^`]*)$")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_TABLE = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*\|?[ \t]*$")
# Each alternative is bounded, so that no text makes the search go back and forth.
_INLINE = re.compile(
    r"(?P<code>`[^`]{1,1000}`)"
    r"|\*\*(?P<bold>[^*\s](?:[^*]{0,500}[^*\s])?)\*\*"
    r"|(?<![\w*])\*(?P<italic>[^*\s](?:[^*]{0,500}[^*\s])?)\*(?![\w*])"
    r"|\[(?P<label>[^\[\]]{1,300})\]\((?P<url>[^()\s]{1,1000})\)"
)


def markdown_lines(text: str, width: int) -> Iterator[Line]:
    """The text, drawn."""
    lines = text.split("\n")
    fence = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        opened = _FENCE.match(line) if len(line) < 200 else None
        if fence:
            if opened and opened[1].startswith(fence) and not opened[2]:
                fence = ""
            else:
                bar: Line = (("│ ", "dim"),)
                yield from wrapped([(line.expandtabs(4), "code")], width, bar, bar)
            continue
        if opened:
            fence = opened[1]
            if opened[2]:
                yield (("│ ", "dim"), (opened[2].strip()[: width - 2], "dim"))
            continue
        if _TABLE.match(line) and at < len(lines) and _TABLE_RULE.match(lines[at]):
            end = at
            while end < len(lines) and end - at < MAX_TABLE_ROWS and _TABLE.match(lines[end]):
                end += 1
            yield from _table(line, lines[at + 1 : end], width)
            at = end
            continue
        yield from _line(line, width)


def _line(line: str, width: int) -> Iterator[Line]:
    if not line.strip():
        yield ()
        return
    if (found := _HEADING.match(line)) is not None:
        yield from wrapped([(text, "head") for text, _ in _inline(found[2])], width)
    elif _RULE.match(line):
        yield (("─" * width, "dim"),)
    elif (found := _QUOTE.match(line)) is not None:
        bar: Line = (("▌ " * found[1].count(">"), "dim"),)
        parts = [(text, word or "quote") for text, word in _inline(found[2])]
        yield from wrapped(parts, width, bar, bar)
    elif (found := _ITEM.match(line)) is not None:
        yield from _item(found[1].expandtabs(4), found[2], found[3], width)
    else:
        yield from wrapped(list(_inline(line.expandtabs(4))), width)


def _item(indent: str, mark: str, text: str, width: int) -> Iterator[Line]:
    indent = indent[: width // 2]
    bullet = "•" if mark in "-*+" else mark
    if (task := _TASK.match(text)) is not None:
        bullet, text = ("☐" if task[1] == " " else "☑"), task[2]
    lead: Line = ((indent, ""), (f"{bullet} ", "bold"))
    hanging: Line = ((" " * (len(indent) + len(bullet) + 1), ""),)
    yield from wrapped(list(_inline(text)), width, lead, hanging)


def _inline(text: str) -> Iterator[Part]:
    at = 0
    for found in _INLINE.finditer(text):
        if found.start() > at:
            yield text[at : found.start()], ""
        at = found.end()
        kind = found.lastgroup
        if kind == "url":
            yield found["label"], "link"
            yield f" ({found['url']})", "dim"
        elif kind == "code":
            yield found["code"][1:-1], "code"
        else:
            yield found[kind or 0], kind or ""
    if at < len(text):
        yield text[at:], ""


def _table(head: str, rows: list[str], width: int) -> Iterator[Line]:
    """Columns under each other where they fit; else the lines as they are."""
    cells = [
        [tuple(_inline(cell.strip())) for cell in row.strip().strip("|").split("|")]
        for row in (head, *rows)
    ]
    columns = max(len(row) for row in cells)
    sizes = [
        max((line_length(row[n]) for row in cells if n < len(row)), default=0)
        for n in range(columns)
    ]
    if sum(sizes) + 3 * (columns - 1) > width:
        for line in (head, *rows):
            yield from wrapped(list(_inline(line.strip())), width)
        return
    for number, row in enumerate(cells):
        parts: list[Part] = []
        for n, size in enumerate(sizes):
            cell = row[n] if n < len(row) else ()
            parts += cell if number else [(text, "bold") for text, _ in cell]
            if n + 1 < columns:
                parts += [(" " * (size - line_length(cell)), ""), (" │ ", "dim")]
        yield tuple(parts)
        if not number:
            yield (("─┼─".join("─" * size for size in sizes), "dim"),)
