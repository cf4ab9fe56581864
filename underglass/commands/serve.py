"""`underglass serve`: the collector as a service."""

from __future__ import annotations

import os
from pathlib import Path

import click

from underglass.on_finding import whom_to_tell
from underglass.options import (
    alerts_option,
    content_option,
    freeze_option,
    keep_raw_options,
    on_finding_options,
    prices_option,
    raw_limit,
)
from underglass.service import runtime_directory, service_socket, service_store


@click.command("serve")
@click.option(
    "--db", metavar="FILE", help="Store to use. Default: /var/lib/underglass/underglass.db."
)
@click.option(
    "--socket",
    metavar="PATH",
    help="Where queries are answered. Default: $UNDERGLASS_SOCKET, else "
    "/run/underglass/query.sock.",
)
@click.option(
    "--group",
    metavar="NAME",
    help="Who may read besides the service's own user. Default: underglass, when it exists.",
)
@click.option(
    "--user",
    metavar="NAME",
    help="Who the collector becomes; the probes stay root's. Default: underglass, when it "
    "exists, else the invoking user.",
)
@content_option
@freeze_option
@keep_raw_options
@prices_option
@alerts_option
@on_finding_options
def command(
    db: str | None,
    socket: str | None,
    group: str | None,
    user: str | None,
    no_content: bool,
    freeze: bool,
    keep_raw: bool,
    raw_limit_bytes: int | None,
    prices: Path | None,
    alerts: Path | None,
    on_finding: tuple[str, ...],
    on_severity: str,
) -> int:
    """Watch the whole host until SIGTERM or Ctrl-C, and answer whoever reads.

    Commands that read, and `top`, ask it when no --db is given. See packaging/systemd for the
    unit. Needs root.
    """
    from probes.client import need_root
    from underglass.notifying import SystemdProgress
    from underglass.serving import (
        Serving,
        prepare_runtime,
        prepare_state,
        service_group,
        service_user,
    )
    from underglass.watching import Watch, watch

    need_root()
    limit_bytes = raw_limit(keep_raw, raw_limit_bytes, no_content)
    who, gid = service_user(user), service_group(group)
    path = Path(db).absolute() if db else service_store()
    place = Path(socket).absolute() if socket else service_socket()
    if place is None:
        raise click.UsageError("UNDERGLASS_SOCKET is empty; say where with --socket PATH")
    if path == service_store() or not os.path.exists(path.parent):
        prepare_state(path.parent, who)
    if place.parent == runtime_directory() or not os.path.exists(place.parent):
        prepare_runtime(place.parent, who, gid)
    summary = watch(
        Watch(
            description="serve",
            greeting=f"serving {path} at {place}",
            store=path,
            content=not no_content,
            everything=True,
            freeze=freeze,
            raw_limit_bytes=limit_bytes,
            prices=prices,
            alerts=alerts,
            on_finding=whom_to_tell(on_finding, on_severity),
            serving=Serving(who, SystemdProgress(), path.parent, place, gid),
        )
    )
    summary.show(f"stored in {path}")
    return int(summary.probe_died)
