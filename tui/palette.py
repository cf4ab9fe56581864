"""The command palette: every view, every table and every action by name.

In: the app and its screens. Out: Textual's SystemCommands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen

from analysis.columns import TABLES
from tui.keys import KEYS
from tui.screens.main import MainScreen
from tui.views import TABLE_NAMES, VIEWS

_HIDDEN = frozenset({"Quit", "Theme", "Screenshot"})  # Textual offers its own


def commands(app: App[Any], screen: Screen[Any], main: MainScreen) -> Iterator[SystemCommand]:
    """Views where there are views; and what the keys do where they are pressed."""
    if screen is main:
        for number, view in enumerate(VIEWS, 1):
            yield SystemCommand(
                f"View: {view.label}",
                f"{view.about} (key {number})",
                lambda name=view.name: app.run_worker(main.action_view(name)),
            )
        for name in TABLE_NAMES:
            yield SystemCommand(
                f"Table: {TABLES[name].label}",
                "A table without a number (key 0)",
                lambda name=name: app.run_worker(main.action_view(name)),
            )
    seen: set[str] = set()
    for key, active in screen.active_bindings.items():
        binding = active.binding
        label = binding.description
        if not label or label in seen or binding.system or label in _HIDDEN:
            continue
        if (binding.id or "").startswith("view_"):
            continue
        seen.add(label)
        known = KEYS.get(binding.id or "")
        about = known.about if known else binding.tooltip or label
        shown = app.get_key_display(binding.with_key(key))
        yield SystemCommand(
            label,
            f"{about} (key {shown})",
            lambda active=active: app.run_worker(
                app.run_action(active.binding.action, active.node)
            ),
        )
