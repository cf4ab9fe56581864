"""The bottom line: the keys that work now and are worth showing.

In: the screen's active bindings. Out: a line of text; a click on a key does what the key does. One
widget, where Textual's own Footer makes one for every key anew whenever the focus moves.
"""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static


class KeyLine(Widget):
    """Follows the screen's bindings."""

    DEFAULT_CSS = """
    KeyLine { height: 1; background: $footer-background; padding: 0 1; }
    KeyLine Static { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[tuple[int, ActiveBinding]] = []
        self._drawn: Content | None = None

    def compose(self) -> ComposeResult:
        """One line of text."""
        yield Static("", markup=False)

    def on_mount(self) -> None:
        """Draw whenever other keys work."""
        self.screen.bindings_updated_signal.subscribe(self, self._draw)
        self._draw(self.screen)

    async def on_click(self, event: events.Click) -> None:
        """What the key under the mouse does."""
        active = next((each for end, each in self._ends if event.x <= end), None)
        if active is not None:
            await self.app.run_action(active.binding.action, active.node)

    def _draw(self, screen: Screen[object]) -> None:
        if not screen.is_active or not self.is_mounted:
            return
        parts: list[str | tuple[str, str]] = []
        self._ends = []
        shown: set[str] = set()
        end = 0
        for key, active in screen.active_bindings.items():
            binding = active.binding
            if not binding.show or binding.action in shown:
                continue
            shown.add(binding.action)
            name = self.app.get_key_display(binding.with_key(key))
            parts += [
                (name, "bold $footer-key-foreground"),
                (f" {binding.description}  ", "$footer-description-foreground"),
            ]
            end += len(name) + len(binding.description) + 3
            self._ends.append((end, active))
        content = Content.assemble(*parts)
        if content != self._drawn:
            self._drawn = content
            self.query_one(Static).update(content, layout=False)
