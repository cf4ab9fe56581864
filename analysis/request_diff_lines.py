"""A `RequestDiff` as lines, for the command line and the dashboard.

In: a `RequestDiff`. Out: lines of (text, style word); words: head, dim, added, removed, and
added_word, removed_word for what changed within a line. Captured text is made printable. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from analysis.cells import one_line, printable
from analysis.request_diff import MessageChange, ParameterChange, RequestDiff, ToolChange
from analysis.text_diff import DiffLine

DiffStyle = Literal["", "head", "dim", "added", "removed", "added_word", "removed_word"]
Line = tuple[tuple[str, DiffStyle], ...]

_SHOWN_LINES = 60
_SHOWN_CHARS = 20_000
_SIGNS: dict[str, tuple[str, DiffStyle]] = {
    "same": ("  ", "dim"),
    "added": ("+ ", "added"),
    "removed": ("- ", "removed"),
    "changed": ("~ ", "head"),
}
_OF_LINE: dict[str, DiffStyle] = {" ": "", "-": "removed", "+": "added", "…": "dim"}
_WORDS: dict[str, DiffStyle] = {"-": "removed_word", "+": "added_word"}


def diff_lines(diff: RequestDiff) -> Iterator[Line]:
    """The whole of it: parameters, tools, system prompt, messages; headings only where needed."""
    yield ((f"{diff.before} → {diff.after}", "head"),)
    if diff.is_same:
        yield (("the two requests are equal", "dim"),)
        return
    if not diff.content_stored:
        yield (("the texts of messages were not stored: only their hashes are compared", "dim"),)
    if diff.parameters:
        yield (("parameters", "head"),)
        for parameter in diff.parameters:
            yield _parameter(parameter)
    if diff.tools:
        yield (("tools", "head"),)
        for tool in diff.tools:
            yield from _tool(tool)
        if diff.same_tools:
            yield ((f"  … {_counted(diff.same_tools, 'tool')} unchanged", "dim"),)
    if any(change.kind != "same" for change in diff.system):
        yield (("system prompt", "head"),)
        yield from _messages(diff.system)
    if diff.messages:
        yield (("messages", "head"),)
        yield from _messages(diff.messages)


def _parameter(change: ParameterChange) -> Line:
    name = one_line(change.name)
    if change.before is None:
        return (("+ ", "added"), (f"{name}: {one_line(change.after or '')}", "added"))
    if change.after is None:
        return (("- ", "removed"), (f"{name}: {one_line(change.before)}", "removed"))
    return (
        ("~ ", "head"),
        (f"{name}: ", ""),
        (one_line(change.before), "removed_word"),
        (" → ", "dim"),
        (one_line(change.after), "added_word"),
    )


def _tool(change: ToolChange) -> Iterator[Line]:
    sign, style = _SIGNS[change.kind]
    yield ((sign, style), (one_line(change.name), style))
    yield from _diffed(change.lines)


def _messages(changes: Iterable[MessageChange]) -> Iterator[Line]:
    for change in changes:
        sign, style = _SIGNS[change.kind]
        if change.kind == "same":
            yield ((f"  … {_counted(change.count, 'message')} unchanged", "dim"),)
            continue
        about = f"{change.position} {one_line(change.role)}"
        why = "  the answer to the request before" if change.answered else ""
        yield ((sign, style), (about, style), (why, "dim"))
        if change.kind == "changed":
            yield from _diffed(change.lines)
            if not change.lines:
                yield (("    equal in what is said, not in how it is written", "dim"),)
        else:
            yield from _said(change.text, style)


def _said(text: str, style: DiffStyle) -> Iterator[Line]:
    lines = printable(text[:_SHOWN_CHARS]).split("\n")
    for line in lines[:_SHOWN_LINES]:
        yield (("    ", ""), (line, style))
    left_out = len(text) - sum(len(line) + 1 for line in lines[:_SHOWN_LINES])
    if left_out > 0:
        yield ((f"    … {left_out:,} more characters", "dim"),)


def _diffed(lines: Iterable[DiffLine]) -> Iterator[Line]:
    for line in lines:
        style, word = _OF_LINE[line.sign], _WORDS.get(line.sign, "")
        yield (
            (f"    {line.sign} ", style),
            *(
                (printable(text).replace("\n", "␊"), word if changed and word else style)
                for text, changed in line.spans
            ),
        )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
