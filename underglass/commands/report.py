"""`underglass report`: everything on one page."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from underglass.listing import since_ns
from underglass.options import db_option, json_option, session_option, since_option
from underglass.paths import store_path

if TYPE_CHECKING:
    from analysis.report import Percentiles, Report

_JSON_NAMES = {"latency_ms": "latency", "ttft_ms": "ttft", "models": "tokens"}


@click.command("report")
@db_option
@since_option
@session_option
@json_option
def command(db: str | None, since: str | None, session: str | None, as_json: bool) -> None:
    """Sum up calls, latency, tokens, cost, errors, tools, findings and losses.

    Times in JSON are milliseconds; `tokens` has an entry for each model.
    """
    from analysis.findings import finding_records, findings
    from analysis.reading import open_reader
    from analysis.report import report
    from underglass.printing import print_json

    start_ns = since_ns(since)
    with open_reader(store_path(db)) as reader:
        found = report(reader, start_ns, session)
        problems = finding_records(findings(reader, since_ns=start_ns, session=session))
    if as_json:
        value = {
            _JSON_NAMES.get(name, name): _json(getattr(found, name)) for name in found.__slots__
        }
        print_json({**value, "findings": problems})
    else:
        print_report(found, problems)


def _json(part: Any) -> Any:
    from analysis.result import ResultSet

    if isinstance(part, ResultSet):
        return part.records()
    if isinstance(part, tuple):
        return [asdict(each) for each in part]
    return asdict(part)


def print_report(found: Report, problems: list[dict[str, Any]]) -> None:
    """The report for people."""
    from analysis.columns import FINDINGS, SESSIONS
    from underglass.printing import print_table

    totals, cost = found.totals, found.cost
    _heading("Calls")
    states = f"{totals.ok} ok, {totals.errors} failed, {totals.incomplete} incomplete"
    if totals.running:
        states += f", {totals.running} running"
    _line("calls", f"{totals.calls} in {totals.sessions} sessions: {states}")
    for error in found.errors:
        _line("", f"{error.calls} × {error.error_type or 'unknown'}")
    if totals.retries:
        _line("retries", f"{totals.retries} of the calls repeat a failed one")
    _line("latency", _percentiles(found.latency_ms))
    _line("first token", _percentiles(found.ttft_ms))
    _heading("Tokens and cost")
    for usage in found.models:
        mark = "~" if usage.estimated_calls else ""
        parts = [
            f"{usage.calls} calls",
            f"{mark}{_count(usage.input_tokens)} in",
            f"({_count(usage.cache_read_tokens)} from cache)",
            f"{mark}{_count(usage.output_tokens)} out",
            "cost unknown" if usage.cost_usd is None else f"{mark}${usage.cost_usd:.4f}",
        ]
        if usage.estimated_calls:
            parts.append(f"tokens of {usage.estimated_calls} calls estimated")
        _line(usage.model or "model unknown", ", ".join(parts))
    total = "unknown" if cost.total_usd is None else f"${cost.total_usd:.4f}"
    extra = f" + {cost.unpriced_calls} unpriced calls" if cost.unpriced_calls else ""
    if cost.estimated_usd is not None:
        total = f"~{total}"
        extra += f", ${cost.estimated_usd:.4f} of it for estimated tokens"
    _line("total", f"{total}{extra}")
    if found.tools:
        _heading("Tools")
        for tool in found.tools:
            rate = "–" if tool.error_rate is None else f"{tool.error_rate:.0%}"
            took = "–" if tool.p50_ms is None else f"{tool.p50_ms:,.0f} ms"
            _line(tool.name, f"{tool.calls} calls, {rate} errors, median {took}")
    _heading("Sessions")
    print_table(SESSIONS, found.sessions.records(), empty="no sessions")
    _heading("Findings")
    if problems:
        print_table(FINDINGS, problems, empty="")
    else:
        click.echo("  none")
    _heading("Health")
    lost = [
        row
        for row in found.health.records()
        if row["value"] and row["counter"] in ("lost_bytes", "lost_events", "truncated_bytes")
    ]
    for row in lost:
        _line(row["source"], f"{row['value']:,} {row['counter']} ({row['cause']})")
    if not lost:
        captured = sum(
            row["value"] for row in found.health.records() if row["counter"] == "captured_bytes"
        )
        click.echo(f"  {captured:,} bytes captured, 0 lost")


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def _line(label: str, text: str) -> None:
    click.echo(f"  {label:<22} {text}")


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _percentiles(values: Percentiles) -> str:
    if values.p50 is None:
        return "–"
    return "  ".join(
        f"{name} {getattr(values, name):,.0f} ms" for name in ("p50", "p90", "p95", "p99", "max")
    )
