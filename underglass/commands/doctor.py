"""`underglass doctor`: does capture work here, and what would make it work."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain

import click

from probes.preflight import Check, checks
from underglass.options import db_option, json_option
from underglass.paths import store_path
from underglass.service import service_socket

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
_CAPTURE_IMPOSSIBLE = 3


@click.command("doctor")
@db_option
@json_option
def command(db: str | None, as_json: bool) -> int:
    """Check kernel, privileges, BCC and probes with a real TLS conversation.

    One line a check; a failure names the command that fixes it. Exit code 3 when capture
    cannot work.
    """
    found: list[Check] = []
    for check in chain(checks(), _store(db), service_checks()):
        found.append(check)
        if not as_json:
            _show(check)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=2))
    return _CAPTURE_IMPOSSIBLE if any(check.status == "fail" for check in found) else 0


def _show(check: Check) -> None:
    mark, colour = _MARKS[check.status]
    click.echo(f"{click.style(mark, fg=colour)} {check.name:<11} {check.detail}")
    if check.fix:
        click.echo(f"  {'':<11} fix: {check.fix}")


def service_checks() -> Iterator[Check]:
    """Whether the service answers, when there is one."""
    from collector.query_client import QueryClient
    from collector.store_errors import CollectorForbidden, CollectorGone

    socket = service_socket()
    if socket is None or not os.path.lexists(socket.parent):
        return
    try:
        with QueryClient(str(socket)) as client:
            found = client.about()
        yield Check("service", "ok", f"pid {found.pid} answers at {socket}, with {found.store}")
    except FileNotFoundError:
        return
    except OSError as error:
        refusal = CollectorForbidden if isinstance(error, PermissionError) else CollectorGone
        said = refusal(str(socket))
        yield Check("service", "warn", str(said), said.hint)


def _store(db: str | None) -> Iterator[Check]:
    from collector.ownership import is_owned

    path = store_path(db)
    if not os.path.exists(path):  # or not for this user to see
        yield Check("store", "ok", f"{path} does not exist yet")
        return
    owned, owner = is_owned(path)
    if owned:
        yield Check(
            "store",
            "warn",
            f"{path} is in use by {owner or 'another collector'}",
            "end it, or use --db FILE",
        )
    else:
        yield Check("store", "ok", f"{path} is free")
