"""The line in which a filter is typed.

In: keys. Out: `FilterChanged` at each of them; Enter keeps the filter, Esc drops it.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.messages import FilterChanged


class FilterInput(Input):
    """Hidden until `/` is pressed."""

    DEFAULT_CSS = """
    FilterInput { display: none; height: 1; border: none; padding: 0 1; }
    FilterInput:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", "Clear")]

    def __init__(self) -> None:
        super().__init__(placeholder="word  field:word  !word       Enter keeps, Esc clears")

    def open(self, text: str) -> None:
        """Show the line with the filter as it is."""
        self.value = text
        self.display = True
        self.focus()

    def close(self, text: str) -> None:
        """Hide the line; the filter is `text` from now on."""
        if self.has_focus:
            self.screen.focus_next()
        self.display = False
        self.value = text
        self.post_message(FilterChanged(text))

    def action_drop(self) -> None:
        """Leave without a filter."""
        self.close("")

    def on_input_changed(self, message: Input.Changed) -> None:
        """Filter while typing."""
        message.stop()
        if self.display:
            self.post_message(FilterChanged(self.value))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Leave with the filter."""
        message.stop()
        self.close(self.value)
