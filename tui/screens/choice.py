"""A short list to choose from: tables, ways to export.

In: what there is. Out: the key of what was chosen, or None. Numbers choose, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from analysis.cells import one_line


@dataclass(frozen=True, slots=True)
class Choice:
    """`key` is what choosing it gives."""

    key: str
    label: str
    about: str = ""


_ABOUT_CHARS = 50


class ChoiceScreen(ModalScreen[str]):
    """Lies over the screen that asks."""

    DEFAULT_CSS = """
    ChoiceScreen { align: center middle; }
    ChoiceScreen OptionList {
        width: 72; max-width: 100%; height: auto; max-height: 90%; padding: 0 1;
        background: $surface; border: round $primary;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close"),
        Binding("j", "move('cursor_down')", "Down", show=False),
        Binding("k", "move('cursor_up')", "Up", show=False),
        Binding("g", "move('first')", "First", show=False),
        Binding("G", "move('last')", "Last", show=False),
        *(Binding(str(n), f"choose({n})", show=False) for n in range(1, 10)),
    ]

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = tuple(choices)

    def compose(self) -> ComposeResult:
        """One line each."""
        options = OptionList(
            *(
                Option(
                    Content.assemble(
                        (f"{number} ", "bold $text-accent"),
                        f"{one_line(choice.label):<12}  ",
                        (_cut(one_line(choice.about)), "$text-muted"),
                    )
                )
                for number, choice in enumerate(self._choices, 1)
            )
        )
        options.border_title = self._title
        yield options

    def action_move(self, where: str) -> None:
        """Vim keys do what arrow keys do."""
        getattr(self.query_one(OptionList), f"action_{where}")()

    def action_choose(self, number: int) -> None:
        """By number."""
        if number <= len(self._choices):
            self.dismiss(self._choices[number - 1].key)

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """With Enter or the mouse."""
        message.stop()
        self.dismiss(self._choices[message.option_index].key)


def _cut(text: str) -> str:
    return text if len(text) <= _ABOUT_CHARS else f"{text[: _ABOUT_CHARS - 1]}…"
