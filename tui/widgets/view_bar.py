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
from analysis.table_layout import Table
from tui.messages import ViewAsked
from tui.state import VIEWS, FeedState


class ViewBar(Widget):
    """Two lines: what was spent in total, and where one is."""

    DEFAULT_CSS = """
    ViewBar { height: 2; layout: vertical; }
    ViewBar Static { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ViewBar #totals { background: $panel; }
    """

    def compose(self) -> ComposeResult:
        """Totals above views."""
        yield Static("", id="totals", markup=False)
        yield Static("", id="views", markup=False)

    def on_mount(self) -> None:
        """Follow the app's feed."""
        self.watch(self.app, "feed", self._draw_totals)

    def show(self, table: Table) -> None:
        """Mark the view that is on the screen."""
        parts: list[str | tuple[str, str]] = []
        for number, view in enumerate(VIEWS, 1):
            chosen = view is table
            parts += [
                (f"{number}", "bold $text-accent"),
                (f" {view.label}", "bold reverse" if chosen else "$text-muted"),
                "  ",
            ]
        self.query_one("#views", Static).update(Content.assemble(*parts))

    def on_click(self, event: events.Click) -> None:
        """Find the view under the mouse."""
        if event.widget is None or event.widget.id != "views":
            return
        start = 1
        for number, view in enumerate(VIEWS, 1):
            end = start + len(view.label) + 4
            if start <= event.x < end:
                self.post_message(ViewAsked(number))
            start = end

    def _draw_totals(self, feed: FeedState) -> None:
        self.query_one("#totals", Static).update(totals_content(feed))


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
        parts.append((f"  {'– findings' if found is None else _counted(found, 'finding')}", style))
    return Content.assemble(*parts)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
