"""One message of a call, folded to a line or in full.

In: an `Entry`. Out: text with the parts told apart. Captured text is drawn as it is, never as
markup, and cut when it is very long.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from analysis.cells import one_line, printable, tokens
from analysis.message_parts import Part
from tui.conversation import Entry

MAX_PART_CHARS = 20_000

_ROLES = {
    "user": "bold $text-primary",
    "assistant": "bold $text-success",
    "system": "bold $text-muted",
    "developer": "bold $text-muted",
    "tool": "bold $text-accent",
}
_LABELS = {
    "text": "",
    "thinking": "thinking",
    "tool_call": "calls",
    "tool_result": "result",
    "other": "",
}


class MessageView(Static, can_focus=True):
    """A message that unfolds."""

    DEFAULT_CSS = """
    MessageView { padding: 0 1; margin: 0 0 1 0; height: auto; border-left: thick $panel; }
    MessageView:focus { border-left: thick $accent; background: $boost; }
    MessageView.folded { margin: 0; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "fold", "Fold"),
    ]

    unfolded: reactive[bool] = reactive(False, init=False)

    def __init__(self, entry: Entry) -> None:
        super().__init__(message_content(entry, unfolded=entry.unfolded), markup=False)
        self.entry = entry
        self.set_reactive(MessageView.unfolded, entry.unfolded)
        self.set_class(not entry.unfolded, "folded")

    def watch_unfolded(self) -> None:
        """Draw the message in its new form."""
        self.set_class(not self.unfolded, "folded")
        self.update(message_content(self.entry, unfolded=self.unfolded))

    def action_fold(self) -> None:
        """Fold or unfold."""
        self.unfolded = not self.unfolded

    def on_click(self) -> None:
        """The same with the mouse."""
        self.action_fold()


def message_content(entry: Entry, *, unfolded: bool) -> Content:
    """The message: a head line, and below it every part when unfolded."""
    size = "" if entry.size_bytes is None else f"  {tokens(entry.size_bytes).text} B"
    head: list[str | tuple[str, str]] = [
        ("▾ " if unfolded else "▸ ", "$text-muted"),
        (one_line(entry.role), _ROLES.get(entry.role, "bold")),
        (f"  {entry.place}{size}", "$text-muted"),
    ]
    if not unfolded:
        return Content.assemble(*head, f"  {_preview(entry)}")
    for part in entry.parts:
        head.append("\n")
        head.extend(_part(part))
    return Content.assemble(*head)


def _preview(entry: Entry) -> str:
    said = [
        f"{part.title}({one_line(part.text)})" if part.kind == "tool_call" else one_line(part.text)
        for part in entry.parts
    ]
    return one_line(" · ".join(said))


def _part(part: Part) -> list[str | tuple[str, str]]:
    label = " ".join(word for word in (_LABELS[part.kind], one_line(part.title)) if word)
    if part.is_error:
        label += " (error)"
    style = {
        "thinking": "italic $text-muted",
        "tool_call": "$text-accent",
        "tool_result": "$text-error" if part.is_error else "",
    }.get(part.kind, "")
    text = printable(part.text[:MAX_PART_CHARS]).rstrip("\n")
    found: list[str | tuple[str, str]] = []
    if label:
        found.append((f"{label}\n", f"bold {style}".strip() if style else "bold"))
    found.append((text, style) if style else text)
    left_out = len(part.text) - MAX_PART_CHARS
    if left_out > 0:
        found.append((f"\n… {left_out:,} more characters", "bold $text-warning"))
    return found
