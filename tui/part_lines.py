"""A message as lines: its head, and each of its parts.

In: an `Entry` or one of its parts, and how it is to be drawn. Out: lines with words of style:
those of `tui.markdown_lines` and `tui.json_lines`, and user, assistant, system, tool, thinking,
call, error, warn. Captured text is made printable here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from analysis.cells import one_line, printable, tokens
from analysis.message_parts import Part
from tui.conversation import Entry
from tui.json_lines import Path, TreeLine, json_lines, parsed
from tui.markdown_lines import markdown_lines
from tui.text_lines import Line, wrapped

MAX_PART_CHARS = 20_000
CURSOR = "▌"
_LABELS = {"text": "", "thinking": "thinking", "tool_call": "calls", "tool_result": "result"}
_ROLES = {"user", "assistant", "system", "tool"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """`markdown`: texts are drawn as Markdown, else as they are. `depth`: how far JSON is open."""

    width: int
    markdown: bool
    depth: int = 2


def head_line(entry: Entry, *, unfolded: bool) -> Line:
    """A message in one line, with its beginning when it is folded."""
    role = "system" if entry.role == "developer" else entry.role
    size = "" if entry.size_bytes is None else f"  {tokens(entry.size_bytes).text} B"
    head: Line = (
        ("▾ " if unfolded else "▸ ", "dim"),
        (one_line(entry.role), role if role in _ROLES else "head"),
        (f"  {entry.place}{size}", "dim"),
    )
    if unfolded:
        return head
    said = (
        f"{part.title}({one_line(part.text)})" if part.kind == "tool_call" else one_line(part.text)
        for part in entry.parts[:8]
    )
    return (*head, ("  " + one_line(" · ".join(said)), ""))


def part_lines(
    part: Part, drawing: Drawing, toggled: Set[Path] = frozenset(), *, growing: bool = False
) -> list[TreeLine]:
    """A part in full, but for the end of very long ones. `growing`: more of it is coming."""
    value = parsed(part.text) if part.kind in ("tool_call", "tool_result", "other") else None
    label = _label(part)
    if value is not None:
        named = ((f"{label[0]} ", label[1]),) if label else ()
        lines = list(json_lines(value, drawing.width, drawing.depth, toggled, named))
    else:
        lines = [TreeLine((label,))] if label else []
        lines += _text(part, drawing)
    if growing:
        if not lines or lines[-1].path is not None:
            lines.append(TreeLine(()))
        lines[-1] = TreeLine((*lines[-1].line, (CURSOR, "warn")))
    return lines


def estimated_height(part: Part, width: int) -> int:
    """About how many lines `part_lines` gives."""
    shown = part.text[:MAX_PART_CHARS]
    return 1 + shown.count("\n") + len(shown) // max(20, width) + (_label(part) is not None)


def _label(part: Part) -> tuple[str, str] | None:
    words = (_LABELS.get(part.kind, ""), one_line(part.title), "(error)" if part.is_error else "")
    label = " ".join(word for word in words if word)
    if not label:
        return None
    word = {"tool_call": "call", "thinking": "thinking"}.get(part.kind, "bold")
    return label, "error" if part.is_error else word


def _text(part: Part, drawing: Drawing) -> Iterator[TreeLine]:
    text = printable(part.text[:MAX_PART_CHARS]).rstrip("\n")
    word = "thinking" if part.kind == "thinking" else "error" if part.is_error else ""
    if part.kind == "text" and drawing.markdown:
        for line in markdown_lines(text, drawing.width):
            yield TreeLine(line)
    else:
        for each in text.split("\n"):
            for line in wrapped([(each.expandtabs(4), word)], drawing.width):
                yield TreeLine(line)
    left_out = len(part.text) - MAX_PART_CHARS
    if left_out > 0:
        yield TreeLine(((f"… {left_out:,} more characters: v shows all", "warn"),))
