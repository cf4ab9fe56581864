"""`underglass report`: everything on one page."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from underglass.listing import since_ns
from underglass.options import db_option, json_option, session_option, since_option
from underglass.service import reading_from

if TYPE_CHECKING:
    from analysis.report import Percentiles, Report, TimeSplit

MOST_FINDINGS = 40  # that are printed for people
_SEVERITIES = ("critical", "warning", "info")
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
    from analysis.report import report
    from underglass.printing import print_json

    start_ns = since_ns(since)
    with reading_from(db, analysed=True) as reader:
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

    if isinstance(part, int):
        return part
    if isinstance(part, ResultSet):
        return part.records()
    if isinstance(part, tuple):
        return [asdict(each) for each in part]
    return asdict(part)


def print_report(found: Report, problems: list[dict[str, Any]]) -> None:
    """The report for people."""
    from analysis.columns import SESSIONS
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
    if found.time.wall_ms:
        _heading("Time")
        _print_time(found.time)
    _heading("Sessions")
    if found.outcomes:
        _line("outcomes", ", ".join(f"{each.sessions} {each.outcome}" for each in found.outcomes))
    print_table(SESSIONS, found.sessions.records(), empty="no sessions")
    if found.sessions_omitted:
        click.echo(f"  and {found.sessions_omitted:,} earlier ones; see: underglass sessions")
    _heading("Findings")
    _print_findings(problems)
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


def _print_time(time: TimeSplit) -> None:
    for label, part_ms in (
        ("waiting for the model", time.queue_ms),
        ("generating", time.generation_ms),
        ("stalled", time.stall_ms),
        ("tools", time.tools_ms),
        ("waiting for a human", time.human_ms),
        ("retries and backoff", time.retry_ms),
        ("idle", time.idle_ms),
    ):
        if part_ms:
            _line(label, f"{part_ms / 1000:>10,.1f} s  {part_ms / time.wall_ms:>6.1%}")
    _line("wall time", f"{time.wall_ms / 1000:>10,.1f} s  in {time.turns} turns")


def _print_findings(problems: list[dict[str, Any]]) -> None:
    from analysis.columns import FINDINGS
    from underglass.printing import print_table

    if not problems:
        click.echo("  none")
        return
    if len(problems) > MOST_FINDINGS:
        counts: dict[str, int] = {}
        for problem in problems:
            counts[problem["kind"]] = counts.get(problem["kind"], 0) + 1
        for kind, count in sorted(counts.items(), key=lambda each: -each[1]):
            _line(kind, f"{count:,}")
    shown = sorted(problems, key=lambda each: _SEVERITIES.index(each["severity"]))[:MOST_FINDINGS]
    print_table(FINDINGS, shown, empty="")
    if len(problems) > len(shown):
        click.echo(f"  the {len(shown)} most severe of {len(problems):,}; see also --json")


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
