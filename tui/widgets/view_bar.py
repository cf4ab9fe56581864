"""The top of the screen: totals of the store, and the numbered views.

In: `FeedState` and the view that is shown. Out: `ViewAsked` when a view is clicked.
"""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from analysis.cells import tokens, total_cost
from tui.messages import ViewAsked
from tui.state import FeedState
from tui.views import VIEWS, view_label

_WIDE = 96


class ViewBar(Widget):
    """Two lines: what was spent in total, and where one is."""

    DEFAULT_CSS = """
    ViewBar { height: 2; layout: vertical; }
    ViewBar Static { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ViewBar #totals { background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[tuple[int, str]] = []
        self._drawn: Content | None = None
        self._shown = ""

    def compose(self) -> ComposeResult:
        """Totals above views."""
        yield Static("", id="totals", markup=False)
        yield Static("", id="views", markup=False)

    def on_mount(self) -> None:
        """Follow the app's feed."""
        self.watch(self.app, "feed", self._draw_totals)

    def show(self, name: str) -> None:
        """Mark the view that is on the screen; one without a number comes last."""
        self._shown = name
        gap = " " if self.size.width >= _WIDE else ""
        parts: list[str | tuple[str, str]] = []
        self._ends = []
        end = 1
        for number, view in enumerate(VIEWS, 1):
            parts += [
                (f"{number}{gap}", "bold $text-accent"),
                (view.label, "bold reverse" if view.name == name else "$text-muted"),
                f" {gap}",
            ]
            end += len(view.label) + 2 + 2 * len(gap)
            self._ends.append((end, view.name))
        label = "" if any(view.name == name for view in VIEWS) else view_label(name)
        parts += [(f"0{gap}", "bold $text-accent"), (label or "…", "bold reverse" if label else "")]
        self._ends.append((end + 3 + len(label), "tables"))
        self.query_one("#views", Static).update(Content.assemble(*parts), layout=False)

    def on_resize(self) -> None:
        """More room, wider names."""
        if self._shown:
            self.show(self._shown)

    def on_click(self, event: events.Click) -> None:
        """Find the view under the mouse."""
        if event.widget is None or event.widget.id != "views":
            return
        name = next((name for end, name in self._ends if event.x < end), None)
        if name is not None:
            self.post_message(ViewAsked(name))

    def _draw_totals(self, feed: FeedState) -> None:
        content = totals_content(feed)
        if content != self._drawn:
            self._drawn = content
            self.query_one("#totals", Static).update(content, layout=False)


def totals_content(feed: FeedState) -> Content:
    """`11 calls  1 error  49.2k in  1.45k out  $0.0584  2 findings`."""
    parts: list[str | tuple[str, str]] = []
    snapshot = feed.snapshot
    if snapshot is not None:
        totals, cost = snapshot.totals, snapshot.cost
        parts.append((_counted(totals.calls, "call"), "bold"))
        if totals.running:
            parts.append((f"  {totals.running:,} running", "$text-warning"))
        if totals.errors:
            parts.append((f"  {_counted(totals.errors, 'error')}", "$text-error"))
        parts.append(f"  {tokens(totals.input_tokens).text} in")
        parts.append(f"  {tokens(totals.output_tokens).text} out")
        parts.append(f"  {total_cost(cost.total_usd, cost.unpriced_calls).text}")
        found = snapshot.finding_count
        style = "bold $text-warning" if found else ""
        parts.append((f"  {_counted(found, 'finding')}", style))
    return Content.assemble(*parts)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
