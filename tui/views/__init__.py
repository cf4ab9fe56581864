"""The views: the nine numbered ones, and a table for everything else.

In: nothing. Out: `VIEWS` in the order of their keys, `TABLE_NAMES` behind key 0, and `view_class`,
which imports a view when it is first looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from analysis.columns import TABLES
from tui.view import View


@dataclass(frozen=True, slots=True)
class Numbered:
    """A numbered view before it is imported; `where` is `module:class`, empty for a table."""

    name: str
    label: str
    about: str
    where: str = ""


VIEWS = (
    Numbered(
        "overview", "Overview", "Agents and sessions: what each does now, and what it costs.",
        "overview:OverviewView",
    ),
    Numbered("calls", "Calls", "LLM calls, the newest first."),
    Numbered("tools", "Tools", "Tool calls with what they returned."),
    Numbered("findings", "Finds", "Loops, escalations, conflicts and other findings."),
    Numbered(
        "activity", "Acts", "Processes, files and connections, with the tool calls behind them.",
        "activity:ActivityView",
    ),
    Numbered(
        "timeline", "Time", "When models, tools and humans had the word.", "timeline:TimelineView"
    ),
    Numbered(
        "context", "Context", "What the context window of a session is filled with.",
        "context:ContextView",
    ),
    Numbered("models", "Models", "Models, what they cost, and when.", "models:ModelsView"),
    Numbered("health", "Health", "What was captured, lost and not seen.", "health:HealthView"),
)  # fmt: skip
"""The numbered views, from 1 on."""

TABLE_NAMES = (
    "sessions", "agents", "processes", "files", "connections", "rpc", "rpc_calls", "requests",
    "coverage",
)  # fmt: skip
"""What key 0 offers."""


def view_label(name: str) -> str:
    """The name of a view as people read it."""
    return next((view.label for view in VIEWS if view.name == name), "") or TABLES[name].label


def view_class(name: str) -> type[View]:
    """The class of a numbered view, or of a table's."""
    from tui.views.table import table_view

    numbered = next((view for view in VIEWS if view.name == name), None)
    if numbered is None:
        return table_view(TABLES[name])
    if not numbered.where:
        return table_view(TABLES[name], numbered.label, numbered.about)
    module, _, class_name = numbered.where.partition(":")
    found: type[View] = getattr(import_module(f"tui.views.{module}"), class_name)
    return found
