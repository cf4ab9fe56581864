"""Health: is everything seen, what was lost and why, and which programs are not seen.

In: a `HealthPage` of `analysis.capture_health`. Out: captures, sources with their bytes and what
became of them, losses with their remedy, what could not be decoded, and below it the programs
that speak TLS, those first of which least is seen.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import ComposeResult
from textual.content import Content

from analysis import cells
from analysis.capture_health import (
    CaptureState,
    HealthPage,
    Loss,
    SourceHealth,
    advice,
    health_page,
    is_harmless,
)
from analysis.columns import COVERAGE, HEALTH
from analysis.reading import Reader
from analysis.table_layout import Row
from tui.view import Question, Scope, Subject, View
from tui.widgets.line_list import LineList, Part, cut

_RATE_S = 5.0
_NUMBER_CELLS = 8
_RANKS = {1: "unseen", 2: "not hooked", 3: "silent", 4: "on trial", 5: "hooked"}
_RANK_STYLES = {1: "bad", 2: "bad", 3: "bad", 4: "warn", 5: "good"}
_SHADES = (("█", "generation"), ("▒", "bad"), ("▚", "warn"), ("░", "dim"))


@dataclass(frozen=True, slots=True)
class HealthQuestion:
    """Health of everything in the store."""

    def read(self, reader: Reader) -> HealthPage:
        """In a worker thread."""
        return health_page(reader, time.time_ns())


Item = (
    tuple[str, CaptureState] | tuple[str, SourceHealth] | tuple[str, Loss] | tuple[str, Row]
    | tuple[str, str]
)  # fmt: skip
"""A line: what kind it is, and what it is about."""


class HealthLines(LineList):
    """The page, line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.items: tuple[tuple[str, Any], ...] = ()

    def line_count(self) -> int:
        """All lines."""
        return len(self.items)

    def line_parts(self, at: int, width: int) -> Sequence[Part]:
        """A line as its kind is drawn."""
        kind, about = self.items[at]
        if kind == "source":
            return _source(about, width)
        if kind in ("loss", "undecoded"):
            return _lost(about, kind)
        if kind == "program":
            return _program(about, width)
        if kind == "capture":
            return _capture(about, width)
        return [(about, kind)]


class HealthView(View):
    """Whether everything is seen."""

    NAME = "health"
    LABEL = "Health"
    ABOUT = "What was captured, lost and not understood, and which programs are not seen."
    DEFAULT_CSS = """
    HealthView {
        height: 1fr;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._page: HealthPage | None = None
        self._seen: deque[tuple[int, int]] = deque(maxlen=64)  # when, and how many events

    def compose(self) -> ComposeResult:
        """The page."""
        yield HealthLines()

    def question(self, scope: Scope) -> Question:
        """Always the whole store: loss has no session."""
        return HealthQuestion()

    def show(self, answer: HealthPage, scope: Scope) -> None:
        """Draw the page; the cursor stays with its line."""
        self._count(answer)
        lines = self.query_one(HealthLines)
        if answer == self._page:
            return
        self._page = answer
        before = _identity(lines.items[lines.cursor]) if lines.items else None
        items = tuple(_items(answer, lines.size.width))
        places = {_identity(item): at for at, item in enumerate(items)}
        lines.items = items
        lines.lines_changed(places.get(before, min(lines.cursor, max(0, len(items) - 1))))

    def caption(self) -> Content:
        """Whether all is well, in a line."""
        page = self._page
        if page is None:
            return Content("Health")
        lost = sum(one.value for one in page.losses if one.counter.endswith("bytes"))
        lost_events = sum(one.value for one in page.losses if one.counter.endswith("events"))
        captured = sum(one.captured_bytes or 0 for one in page.sources)
        parts: list[str | tuple[str, str]] = [f"{cells.tokens(captured).text} bytes captured"]
        if lost or lost_events:
            parts.append((f", {lost:,} bytes and {lost_events:,} events lost", "bold $text-error"))
        else:
            parts.append((", nothing lost", "$text-success"))
        blind = sum(page.ranks.get(rank, 0) for rank in (1, 2, 3))
        if blind:
            parts.append((f", {blind:,} programs not seen", "bold $text-error"))
        rate = self.events_per_second()
        if page.live:
            parts.append(f", {'–' if rate is None else f'{rate:,.0f}'} events/s")
        return Content.assemble(*parts)

    def subject(self) -> Subject | None:
        """The program, source or cause under the cursor."""
        lines = self.query_one(HealthLines)
        if not 0 <= lines.cursor < len(lines.items):
            return None
        kind, about = lines.items[lines.cursor]
        if kind == "program":
            key = f"{about['process_key']} {about['stack']} {about['path'] or ''}"
            return Subject("row", key, about, COVERAGE)
        if kind in ("loss", "undecoded"):
            record = {
                "source": about.source, "counter": about.counter, "cause": about.cause,
                "value": about.value, "meaning": about.meaning, "fix": about.fix,
            }  # fmt: skip
            return Subject("row", f"{about.source} {about.counter} {about.cause}", record, HEALTH)
        return None

    def empty(self) -> bool:
        """Whether nothing was captured yet."""
        return self._page is not None and not self._page.captures and not self._page.sources

    def events_per_second(self) -> float | None:
        """Over the last seconds; None: not known yet."""
        if len(self._seen) < 2:
            return None
        (then, before), (now, after) = self._seen[0], self._seen[-1]
        return max(0, after - before) * 1e9 / (now - then) if now > then else None

    def on_resize(self) -> None:
        """Long lines are wrapped anew."""
        if self._page is not None:
            page, self._page = self._page, None
            self.show(page, Scope())

    def on_line_list_line_opened(self, message: LineList.LineOpened) -> None:
        """A closer look at a program or a counter."""
        message.stop()
        subject = self.subject()
        if subject is not None:
            self.post_message(self.Opened(subject))

    def on_line_list_cursor_moved(self, message: LineList.CursorMoved) -> None:
        """Nothing to load."""
        message.stop()

    def _count(self, page: HealthPage) -> None:
        if not page.live:
            self._seen.clear()
            return
        self._seen.append((page.read_ns, page.events))
        while len(self._seen) > 2 and page.read_ns - self._seen[0][0] > _RATE_S * 1e9:
            self._seen.popleft()


def _items(page: HealthPage, width: int) -> Iterator[tuple[str, Any]]:
    yield "head", "Captures"
    now = [one for one in page.captures if one.ended_at is None]
    if page.live:
        calls = f"{page.running_calls:,} calls under way"
        yield "good", f"captured now by {page.reader}: {calls}" if now else f"{page.reader} waits"
    else:
        yield "dim", "nothing is captured now; `underglass run` or `attach` does, `doctor` checks"
    for capture in page.captures:
        yield "capture", capture
    if page.capture_total > len(page.captures):
        yield "dim", f"… {page.capture_total - len(page.captures):,} earlier captures"
    yield "", ""
    heads = ("captured", "lost", "cut", "ignored", "= sent")
    head = "".join(f"{name:>{_NUMBER_CELLS}} " for name in heads)
    yield "head", f"{'Bytes':<9} {head}"
    for source in page.sources:
        yield "source", source
    if not page.sources:
        yield "warn", "no event came yet; `underglass doctor` says whether capture works here"
    yield "", ""
    if page.losses:
        yield "head", "Lost"
        told = set()
        for loss in page.losses:
            yield "loss", loss
            if loss.fix and loss.fix not in told:
                told.add(loss.fix)
                for line in _wrapped(f"fix: {loss.fix}", max(20, width - 6)):
                    yield "warn", f"    {line}"
    else:
        yield "good", "Nothing was lost"
    if page.undecoded:
        yield "", ""
        yield "head", "Not decoded"
        for loss in page.undecoded:
            yield "undecoded", loss
    yield "", ""
    counts = ", ".join(f"{page.ranks[rank]:,} {_RANKS[rank]}" for rank in sorted(page.ranks))
    yield "head", f"Programs that speak TLS: {counts or 'none yet'}"
    for program in page.programs:
        yield "program", program
        if program["rank"] < 5:
            for line in _wrapped(advice(program), max(20, width - 6)):
                yield "warn", f"    {line}"
    if page.program_total > len(page.programs):
        rest = page.program_total - len(page.programs)
        yield "dim", f"… {rest:,} more: table coverage (0)"


def _identity(item: tuple[str, Any]) -> Any:
    kind, about = item
    if kind == "program":
        return kind, about["capture_id"], about["process_key"], about["stack"], about["path"]
    if kind == "source":
        return kind, about.source
    if kind in ("loss", "undecoded"):
        return kind, about.source, about.counter, about.cause
    if kind == "capture":
        return kind, about.capture_id
    return item


def _capture(capture: CaptureState, width: int) -> list[Part]:
    begun = cells.day_and_clock(capture.started_at).text
    took = "still open"
    if capture.ended_at is not None and capture.started_at is not None:
        lasted = (capture.ended_at - capture.started_at).total_seconds() * 1000
        took = cells.duration(lasted).text
    probes = "–" if capture.attached is None else f"{capture.attached:,}"
    style = "bad" if not capture.attached else ""
    head = f"{begun} {took:>10}  "
    tail = f" v{cells.one_line(capture.version)}"
    if capture.raw_state:
        tail += f", raw data {cells.one_line(capture.raw_state)}"
    room = max(10, width - len(head) - 13 - len(tail) - 1)
    return [
        (head, ""),
        (f"{probes:>4} probes  ", style),
        (cut(cells.one_line(capture.command), room), ""),
        (tail, "dim"),
    ]


def _source(source: SourceHealth, width: int) -> list[Part]:
    if source.captured_bytes is None:
        lost = f", {source.lost_events:,} lost" if source.lost_events else ", none lost"
        return [
            (f"{cut(source.source, 9)} ", ""),
            (f"{source.events:,} events", "dim"),
            (lost, "bad" if source.lost_events else "dim"),
        ]
    numbers = (
        (source.captured_bytes, ""),
        (source.lost_bytes, "bad" if source.lost_bytes else "dim"),
        (source.truncated_bytes, "warn" if source.truncated_bytes else "dim"),
        (source.ignored_bytes, "dim"),
        (source.sent_bytes or 0, ""),
    )
    parts: list[Part] = [(f"{cut(source.source, 9)} ", "")]
    parts += [(f"{cells.tokens(value).text:>{_NUMBER_CELLS}} ", style) for value, style in numbers]
    room = width - sum(len(text) for text, _ in parts) - 1
    total = source.sent_bytes or 0
    if room < 8 or not total:
        return parts
    shown = [value for value, _ in numbers[:4]]
    lengths = [max(1, value * room // total) if value else 0 for value in shown]
    longest = lengths.index(max(lengths))
    lengths[longest] += room - sum(lengths)
    return parts + [
        (sign * length, style) for (sign, style), length in zip(_SHADES, lengths, strict=True)
    ]


def _lost(loss: Loss, kind: str) -> list[Part]:
    what = loss.counter.removeprefix("lost_").removeprefix("undecoded_").replace("_", " ")
    style = "bad" if kind == "loss" else "dim" if is_harmless(loss) else "warn"
    return [
        (f"{cut(loss.source, 9)} ", ""),
        (f"{loss.value:>{_NUMBER_CELLS + 2},} {what}", style),
        (f"  {loss.cause}: " if loss.meaning != loss.cause.replace("_", " ") else "  ", "dim"),
        (loss.meaning, ""),
    ]


def _program(program: Row, width: int) -> list[Part]:
    rank = program["rank"]
    name = cells.one_line(program["program"] or "–")
    seen = cells.both_ways(program["read_bytes"], program["written_bytes"]).text
    tls = cells.both_ways(program["tls_read_bytes"], program["tls_written_bytes"]).text
    hosts = cells.one_line(", ".join(program["hosts"] or ()))
    tail = f"{cells.one_line(program['stack']):<9} {seen:>6} of {tls:>6} TLS  "
    room = max(14, min(60, width - 21 - len(tail) - 18))
    if len(name) > room:
        name = "…" + name[-(room - 1) :]
    return [
        (f"{_RANKS.get(rank, '–'):<10} ", _RANK_STYLES.get(rank, "")),
        (f"{program['pid']:>8} ", "dim"),
        (cut(name, room) + " ", ""),
        (tail, ""),
        (hosts, "dim"),
    ]


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(cells.one_line(text), width)[:4]
