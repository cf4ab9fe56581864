"""`underglass analyse`: what analysis says of the sessions in a store, anew."""

from __future__ import annotations

import click

from underglass.options import db_option
from underglass.paths import store_path


@click.command("analyse")
@click.option("--all", "everything", is_flag=True, help="Every session, also those that are done.")
@db_option
def command(db: str | None, everything: bool) -> None:
    """Analyse sessions of which something was stored since they were analysed last.

    Captures do this themselves; with --all, sessions are judged again by this version's rules.
    """
    from collector.store_errors import StoreMissing
    from underglass import privileges
    from underglass.analysed import analyse_store
    from underglass.paths import invoker

    path = store_path(db)
    privileges.drop(invoker())  # what is stored belongs to the user, also under sudo
    if not path.exists():
        raise StoreMissing(path)
    families = analyse_store(path, everything=everything)
    click.echo(f"underglass: {families} families of sessions analysed in {path}", err=True)
