"""`underglass compare`: two sets of sessions, and which differences are more than chance."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from underglass.options import db_option, json_option
from underglass.service import reading_from

if TYPE_CHECKING:
    from analysis.compare import Comparison
    from analysis.intervals import Estimate
    from analysis.session_sets import SessionSet
    from analysis.table_layout import Table


_SHORT_MS = 10_000


@click.command("compare")
@click.argument("sets", metavar="[A] [B]", nargs=-1)
@click.option("--where-a", metavar="SQL", help="A: a condition on the view sessions.")
@click.option("--where-b", metavar="SQL", help="B: a condition on the view sessions.")
@db_option
@json_option
def command(
    sets: tuple[str, ...],
    where_a: str | None,
    where_b: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Compare two sets of sessions, with 95 % confidence intervals.

    A and B are terms separated by commas: ids of sessions or their beginnings, agent=NAME,
    version=V, model=NAME (* stands for any text), SINCE..UNTIL, main (no sub-agents), or all.
    Terms of one kind widen the set, terms of different kinds narrow it.
    """
    from analysis.compare import compare
    from underglass.printing import print_json, print_table

    a, b = _operands(sets, where_a, where_b)
    with reading_from(db) as reader:
        comparison = compare(reader, a, b)
    if as_json:
        print_json(comparison)
        return
    for side, each in (("A", comparison.a), ("B", comparison.b)):
        click.echo(f"{side}  {each.expression}  ({each.sessions} sessions, {each.ended} ended)")
    click.echo()
    print_table(_table(), _rows(comparison), empty="nothing to compare")
    click.echo()
    for note in comparison.notes:
        click.echo(f"Note: {note}.")


def _operands(
    sets: tuple[str, ...], where_a: str | None, where_b: str | None
) -> tuple[SessionSet, SessionSet]:
    from analysis.session_sets import parse_set, sql_set

    given, now_ns = list(sets), time.time_ns()
    wanted = (where_a is None) + (where_b is None)
    if len(given) != wanted:
        raise click.UsageError(
            f"two sets are needed, A and B: write {wanted} of them before the options, "
            "or --where-a and --where-b"
        )
    a = parse_set(given.pop(0), now_ns) if where_a is None else sql_set(where_a)
    b = parse_set(given.pop(0), now_ns) if where_b is None else sql_set(where_b)
    return a, b


def _table() -> Table:
    from analysis.table_layout import Column, Table

    return Table(
        "compare",
        "Comparison",
        ("name",),
        (
            Column("name", "MEASURE", 36, "What is compared"),
            Column("a", "A", 28, "First set, with its 95 % interval", align="right", max_width=32),
            Column("b", "B", 28, "Second set", align="right", max_width=32),
            Column(
                "difference",
                "B - A",
                28,
                "With its interval",
                align="right",
                max_width=34,
                priority=3,
            ),
            Column("says", "", 28, "What that says", max_width=62, priority=2),
        ),
        has_session=False,
    )


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "a": _estimate(each.a, each.unit),
            "b": _estimate(each.b, each.unit),
            "difference": _estimate(each.difference, each.unit, signed=True),
            "says": each.says,
        }
        for each in comparison.measures
    ]


def _estimate(estimate: Estimate, unit: str, *, signed: bool = False) -> str:
    """`12.5% (3.1 to 20.9)`; `-` when not known."""
    if estimate.value is None:
        return "-"
    sign = "+" if signed else ""
    text = _number(estimate.value, unit, sign)
    if estimate.low is None or estimate.high is None:
        return text
    low, high = (_number(bound, unit, sign) for bound in (estimate.low, estimate.high))
    return f"{text} ({low} to {high})"


def _number(value: float, unit: str, sign: str) -> str:
    if unit == "share":
        return f"{100 * value:{sign}.1f}%"
    if unit == "usd":
        mark = "-" if value < 0 else sign
        return f"{mark}${abs(value):.4f}"
    if unit == "tokens":
        return f"{value:{sign},.0f}"
    if unit == "ms":
        short = abs(value) < _SHORT_MS
        return f"{value:{sign}.0f} ms" if short else f"{value / 1000:{sign}.1f} s"
    return f"{value:{sign}.2f}"
