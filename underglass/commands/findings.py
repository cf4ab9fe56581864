"""`underglass findings`: everything that analysis found."""

from __future__ import annotations

import click

from underglass.list_options import Asked, list_options
from underglass.listing import show_list, since_ns
from underglass.options import db_option, session_option, since_option


@click.command("findings")
@click.option("--kind", "kinds", multiple=True, metavar="K", help="Only these; may be repeated.")
@db_option
@since_option
@session_option
@list_options
def command(
    kinds: tuple[str, ...], db: str | None, since: str | None, session: str | None, asked: Asked
) -> None:
    """List what analysis found: loops, runaways, escalations, conflicts, leaks and all else."""
    from analysis.columns import FINDINGS
    from analysis.listed import Narrowed

    narrowed = Narrowed(since_ns(since), session, kinds=_known(kinds) or None)
    show_list(FINDINGS, narrowed, asked, db, empty="nothing found", analysed=True)


def _known(kinds: tuple[str, ...]) -> frozenset[str]:
    from difflib import get_close_matches

    from analysis.findings import ALL_KINDS

    for kind in kinds:
        if kind not in ALL_KINDS:
            near = get_close_matches(kind, ALL_KINDS, n=1)
            meant = f"did you mean {near[0]}?" if near else ", ".join(sorted(ALL_KINDS))
            raise click.BadParameter(f"no kind {kind!r}; {meant}", param_hint="--kind")
    return frozenset(kinds)
