"""The health line: where the numbers come from, and what is missing from them.

In: `FeedState`. Out: one line at the bottom of every screen, most important first.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from analysis.cells import clock, duration, one_line, tokens
from tui.settings import USUAL_INTERVAL_S
from tui.state import FeedState

_LOST = "bold $text-error"
_WARNING = "bold $text-warning"
_GAP = "  "
_OLD_S = 2.0


class HealthLine(Widget):
    """Follows the app's `feed`."""

    DEFAULT_CSS = """
    HealthLine { height: 1; background: $panel; padding: 0 1; }
    HealthLine Static { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._drawn: Content | None = None

    def compose(self) -> ComposeResult:
        """One line of text."""
        yield Static("", markup=False)

    def on_mount(self) -> None:
        """Draw whenever the store was looked at."""
        self.watch(self.app, "feed", self._draw)

    def _draw(self, feed: FeedState) -> None:
        content = health_content(feed)
        if content != self._drawn:
            self._drawn = content
            self.query_one(Static).update(content, layout=False)


def health_content(feed: FeedState) -> Content:
    """The line's text, loss in red. Unknown is `–`."""
    snapshot = feed.snapshot
    parts: list[tuple[str, str]] = []
    if feed.problem is not None:
        parts.append((feed.problem, _LOST))
    elif snapshot is None:
        parts.append(("reading…", "$text-muted"))
    elif feed.live:
        source = one_line(snapshot.source.replace("collector", "live"))
        parts.append((source, "bold $text-success"))
    else:
        parts.append(("file", "bold"))
    if snapshot is not None:
        losses = snapshot.losses
        lost = bool(losses.lost_events or losses.lost_bytes)
        parts.append(
            (
                f"{'LOST' if lost else 'lost'} {tokens(losses.lost_events).text} "
                f"({_bytes(losses.lost_bytes)})",
                _LOST if lost else "",
            )
        )
        undecoded = _WARNING if losses.undecoded_bytes else ""
        parts.append((f"undecoded {_bytes(losses.undecoded_bytes)}", undecoded))
    if feed.paused:
        parts.append((f"PAUSED{_age(feed)}", _WARNING))
    elif feed.problem is not None and feed.age_s >= _OLD_S:
        parts.append((f"as of{_age(feed)} ago", _WARNING))
    if snapshot is not None and feed.problem is None:
        parts.append(_probes(feed))
        if feed.live:
            parts.append((_rate(snapshot.events_per_s), ""))
    if feed.interval_s not in (None, USUAL_INTERVAL_S):
        parts.append((f"every {feed.interval_s:g} s", "$text-muted"))
    if not feed.paused and feed.problem is None and feed.checked_at is not None:
        parts.append((clock(feed.checked_at).text, "$text-muted"))
    if snapshot is not None:
        parts.append((f"{tokens(snapshot.losses.captured_events).text} events", ""))
    joined: list[str | tuple[str, str]] = []
    for part in parts:
        joined += [_GAP, part] if joined else [part]
    return Content.assemble(*joined)


def _probes(feed: FeedState) -> tuple[str, str]:
    assert feed.snapshot is not None
    capture = feed.snapshot.capture
    if capture is None:
        return "no capture", "$text-muted"
    if capture.ended_at is not None:
        return "capture ended", "$text-muted"
    if not feed.live:
        return "capture cut off", _WARNING
    if not capture.attached:
        return "no probes", _LOST
    return f"{capture.attached} probes", ""


def _rate(per_s: float | None) -> str:
    return f"{'–' if per_s is None else tokens(round(per_s)).text} ev/s"


def _age(feed: FeedState) -> str:
    return f" {duration(round(feed.age_s) * 1000).text}" if feed.age_s >= _OLD_S else ""


def _bytes(size: int | None) -> str:
    return "– B" if size is None else f"{tokens(size).text} B"
