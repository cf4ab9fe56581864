"""`underglass diff`: what one request says that another did not."""

from __future__ import annotations

from typing import Any

import click

from underglass.options import db_option, json_option
from underglass.service import reading_from

_COLOURS: dict[str, dict[str, Any]] = {
    "head": {"bold": True},
    "dim": {"dim": True},
    "added": {"fg": "green"},
    "removed": {"fg": "red"},
    "added_word": {"fg": "green", "bold": True, "underline": True},
    "removed_word": {"fg": "red", "bold": True, "underline": True},
}


@click.command("diff")
@click.argument("call_id")
@click.argument("other", required=False)
@db_option
@json_option
def command(call_id: str, other: str | None, db: str | None, as_json: bool) -> None:
    """Show what the request of CALL_ID says that the one before it did not.

    With OTHER, what changed from the request of OTHER. Without, from the latest request of the
    same session whose messages it goes on from, else from the one before it.
    """
    from dataclasses import asdict

    from analysis.reading import call_detail, call_neighbours
    from analysis.request_diff import request_diff
    from analysis.request_diff_lines import diff_lines
    from collector.store_errors import QueryFailed
    from underglass.printing import print_json

    with reading_from(db) as reader:
        after = call_detail(reader, call_id)
        if other is None:
            beside = call_neighbours(reader, after)
            other = beside.continues or beside.previous
        if other is None:
            raise QueryFailed(
                f"{call_id} is the first call of its session",
                hint="name the call to compare it with: underglass diff CALL_ID OTHER",
            )
        diff = request_diff(call_detail(reader, other), after)
    if as_json:
        print_json(asdict(diff))
        return
    for line in diff_lines(diff):
        click.echo("".join(click.style(text, **_COLOURS.get(word, {})) for text, word in line))
