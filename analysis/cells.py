"""Values as people read them: short text and one word of meaning.

In: one value of a query's row (`analysis.result`). Out: a `Cell`, which the dashboard and the
command line colour each in their own way. What is not known is `–`, never 0. Captured text may be
hostile: control characters, which could steer a terminal, become visible signs.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Style = Literal["", "good", "warn", "bad", "dim"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of text for a table, and what it means."""

    text: str
    style: Style = ""


UNKNOWN = Cell("–", "dim")

_CELL_CHARS = 400
_STATUS: dict[str, Style] = {
    "ok": "good", "open": "warn", "running": "warn", "incomplete": "warn", "error": "bad",
    "hooked": "good", "hookable": "good", "on_trial": "warn",
    "not_hooked": "bad", "rejected": "bad", "unseen": "bad",
    "info": "", "warning": "warn", "critical": "bad",
    "inferred": "dim",
}  # fmt: skip
# C0 and C1 controls but for tab and newline; marks that reorder the line they stand in.
_VISIBLE = (
    {code: 0x2400 + code for code in range(32) if code not in (9, 10)}
    | {127: 0x2421}
    | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
    | dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)
)


def printable(text: str) -> str:
    """The text with its lines and tabs, and nothing that a terminal would obey."""
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def one_line(text: str) -> str:
    """The beginning of the text as one printable line."""
    return printable(" ".join(text[:_CELL_CHARS].split()))


def json_text(value: Any, *, indented: bool = False) -> str:
    """The value as JSON, whatever it holds."""
    try:
        return orjson.dumps(
            value, default=str, option=orjson.OPT_INDENT_2 if indented else 0
        ).decode()
    except orjson.JSONEncodeError:
        return "(nested too deeply to show)"


def plain(value: Any) -> Cell:
    """Any value; lists joined by spaces, objects as JSON."""
    if value is None:
        return UNKNOWN
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return Cell(one_line(" ".join(str(each) for each in value)))
    return Cell(one_line(value if isinstance(value, str) else json_text(value)))


def listed(values: Sequence[str] | None) -> Cell:
    """Several names in one line."""
    return plain(None if values is None else ", ".join(values) or "–")


def how_many(values: Sequence[str] | None) -> Cell:
    """How many there are."""
    return count(None if values is None else len(values))


def process(comm: str | None, pid: int | None) -> Cell:
    """A process as its short name and id."""
    return UNKNOWN if pid is None else Cell(one_line(f"{comm or ''} {pid}"))


def count(value: int | None) -> Cell:
    """A whole number in full."""
    return UNKNOWN if value is None else Cell(f"{value:,}", "" if value else "dim")


def bad_count(value: int | None) -> Cell:
    """A number that should be 0."""
    return UNKNOWN if value is None else Cell(f"{value:,}", "bad" if value else "dim")


def busy_count(value: int | None) -> Cell:
    """A number of things that go on."""
    return UNKNOWN if value is None else Cell(f"{value:,}", "warn" if value else "dim")


def tokens(value: int | None) -> Cell:
    """At most five characters: `950`, `12.3k`, `4.56M`."""
    if value is None:
        return UNKNOWN
    if value < 1000:
        return Cell(str(value))
    for limit, unit in ((999_500, "k"), (999_500_000, "M"), (10**15, "G")):
        if value < limit:
            scaled = value * 1000 / (10 ** {"k": 6, "M": 9, "G": 12}[unit])
            return Cell(f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{unit}")
    return Cell("huge")


def estimated_tokens(value: int | None) -> Cell:
    """Estimated, at most five characters: `~950`, `~12k`, `~4.6M`."""
    if value is None or value < 1000:
        return UNKNOWN if value is None else Cell(f"~{value}", "dim")
    for size, unit in ((10**3, "k"), (10**6, "M"), (10**9, "G")):
        if value < 999.5 * size:
            digits = 1 if value < 9.95 * size else 0
            return Cell(f"~{value / size:.{digits}f}{unit}", "dim")
    return Cell("huge")


def input_tokens(value: int | None, source: str | None) -> Cell:
    """Input tokens of a call, with a mark when they are estimated."""
    return (estimated_tokens if source == "estimated" else tokens)(value)


def output_tokens(value: int | None, source: str | None) -> Cell:
    """Output tokens of a call, with a mark when they are estimated."""
    marked = source in ("estimated", "output_estimated")
    return (estimated_tokens if marked else tokens)(value)


def partly_estimated(value: int | None, estimated_calls: int | None) -> Cell:
    """A sum of tokens, with a mark when some are estimated."""
    return (estimated_tokens if estimated_calls else tokens)(value)


def both_ways(read_bytes: int | None, written_bytes: int | None) -> Cell:
    """Bytes of both directions together, as short as `tokens`."""
    if read_bytes is None or written_bytes is None:
        return UNKNOWN
    total = read_bytes + written_bytes
    return Cell(tokens(total).text, "" if total else "dim")


def share(part: int | None, whole: int | None) -> Cell:
    """`part` of `whole` in per cent."""
    if part is None or not whole:
        return UNKNOWN
    return Cell(f"{100 * part / whole:.0f}%", "" if part else "dim")


def duration(ms: float | None) -> Cell:
    """Milliseconds as `245ms`, `1.24s`, `2m05s` or `3h02m`."""
    if ms is None:
        return UNKNOWN
    if ms < 999.5:
        return Cell(f"{ms:.0f}ms")
    seconds = ms / 1000
    if seconds < 59.95:
        return Cell(f"{seconds:.{2 if seconds < 9.995 else 1}f}s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return Cell(f"{minutes}m{rest:02}s")
    return Cell(f"{minutes // 60:,}h{minutes % 60:02}m")


def age(ms: float | None) -> Cell:
    """Milliseconds in at most four characters: `8s`, `12m`, `3h`, `5d`."""
    if ms is None:
        return UNKNOWN
    for limit_s, unit_s, unit in ((100, 1, "s"), (6000, 60, "m"), (172_800, 3600, "h")):
        if ms / 1000 < limit_s:
            return Cell(f"{ms / 1000 / unit_s:.0f}{unit}")
    return Cell(f"{min(ms / 86_400_000, 9999):.0f}d")


def dollars(cost_usd: float | None) -> Cell:
    """`$0.0126`; two digits from ten dollars on."""
    if cost_usd is None:
        return UNKNOWN
    if 0 < cost_usd < 0.00005:
        return Cell("<$0.0001")
    return Cell(f"${cost_usd:,.{4 if cost_usd < 9.99995 else 2}f}")


def call_cost(cost_usd: float | None, source: str | None) -> Cell:
    """What a call cost; `unpriced` when usage is known but no price is; `~` of estimated tokens."""
    if cost_usd is None and source == "unpriced":
        return Cell("unpriced", "warn")
    return _marked(dollars(cost_usd), (source or "").startswith("estimated:"))


def total_cost(
    cost_usd: float | None, unpriced_calls: int | None, estimated_calls: int | None = None
) -> Cell:
    """A sum of costs; `+` when calls without a price come on top, `~` when some are estimated."""
    cost = _marked(dollars(cost_usd), bool(estimated_calls))
    if not unpriced_calls:
        return cost
    if cost_usd is None:
        return Cell("unpriced", "warn")
    return Cell(f"{cost.text}+", "warn")


def _marked(cost: Cell, estimated: bool) -> Cell:
    return Cell(f"~{cost.text}", "dim") if estimated and cost != UNKNOWN else cost


_zone: datetime.tzinfo | None = None  # None: the machine's


def show_times_in(zone: datetime.tzinfo | None) -> None:
    """The zone of the times that people read from now on; None: the machine's."""
    global _zone
    _zone = zone


def moment(value: datetime.datetime | str | None) -> datetime.datetime | None:
    """A time, or the RFC 3339 text of one, in the zone that is shown."""
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    return None if value is None else value.astimezone(_zone)


def clock(value: datetime.datetime | str | None) -> Cell:
    """The local time of day, `02:01:49`."""
    local = moment(value)
    return UNKNOWN if local is None else Cell(local.strftime("%H:%M:%S"))


def day_and_clock(value: datetime.datetime | str | None) -> Cell:
    """Local day and time, `11-21 02:01:49`."""
    local = moment(value)
    return UNKNOWN if local is None else Cell(local.strftime("%m-%d %H:%M:%S"))


def word(value: str | None) -> Cell:
    """A word of a small vocabulary, with its meaning."""
    return UNKNOWN if value is None else Cell(one_line(value), _STATUS.get(value, ""))


def outcome(is_error: bool | None) -> Cell:
    """Whether a tool failed, as far as its result says."""
    return (
        UNKNOWN if is_error is None else Cell(*(("error", "bad") if is_error else ("ok", "good")))
    )


def failure(error: str | None) -> Cell:
    """Why something failed."""
    return UNKNOWN if error is None else Cell(one_line(error), "bad")


def exit_status(exit_code: int | None, signal: int | None) -> Cell:
    """How a process ended: its exit code, or the signal that ended it."""
    if signal:
        return Cell(f"sig {signal}", "bad")
    if exit_code is None:
        return UNKNOWN
    return Cell(str(exit_code), "bad" if exit_code else "good")


def health_value(value: int | None, counter: str | None) -> Cell:
    """A health counter; what was lost or not understood is bad unless it is 0."""
    losing = ("lost", "truncated", "undecoded", "not_hooked")
    return (bad_count if (counter or "").startswith(losing) else count)(value)
