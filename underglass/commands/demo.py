"""`underglass demo`: the whole product on one page, with nothing to configure."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from probes.errors import UnderglassError
from underglass.options import db_option
from underglass.paths import Invoker, invoker
from underglass.watching import Watch, watch

_PROMPT = "The price check fails. Find out why and repair it."


@click.command("demo")
@db_option
@click.option("--keep", is_flag=True, help="Keep the demo's store and say where it is.")
@click.option(
    "--replay",
    "replayed",
    is_flag=True,
    help="Show a bundled recording of five agents in the dashboard. Needs no root.",
)
def command(db: str | None, keep: bool, replayed: bool) -> int:
    """Watch a small sample agent repair a bug, talking TLS to a bundled model.

    The agent is an ordinary program that knows nothing of underglass; the model is a script.
    Probes, decoding, store and report are the real ones. Needs root.
    """
    if replayed:
        return _show_recording(db, keep)
    from analysis.findings import finding_records, findings
    from analysis.reading import open_reader
    from analysis.report import report
    from underglass.commands.report import print_report
    from underglass.demo import sample_agent
    from underglass.demo.standin import StandIn

    who = invoker()
    folder = Path(tempfile.mkdtemp(prefix="underglass-demo-"))
    store = Path(db).absolute() if db else folder / "demo.db"
    work, model_folder = folder / "work", folder / "model"
    for path in (work, model_folder):
        path.mkdir()
    _give(who, folder, work, model_folder)
    _say("starting the bundled model (TLS, loopback) and the sample agent under real probes")
    with StandIn("demo", model_folder, user=who.uid if who.under_sudo else None) as model:
        os.environ.update(model.environment(), ANTHROPIC_API_KEY="sk-ant-demo-0123456789abcdef")
        os.chdir(work)
        summary = watch(
            Watch(
                description="demo",
                store=store,
                command=(sys.executable, str(sample_agent.__file__), _PROMPT),
            )
        )
    with open_reader(store) as reader:
        print_report(report(reader), finding_records(findings(reader)))
    click.echo()
    if keep or db:
        summary.show(f"look around: underglass top --db {store}")
    else:
        summary.show("your own agent: sudo underglass run -- CMD; then: underglass top")
        _remove(folder)
    return summary.exit_code


def _show_recording(db: str | None, keep: bool) -> int:
    """The dashboard on the bundled recording, which is decoded as if it happened now."""
    from underglass.demo.office import RECORDING, SALT
    from underglass.replaying import PacedReplay
    from underglass.top_settings import top_settings

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UnderglassError(
            "the dashboard needs a terminal",
            hint=f"for scripts: underglass replay --db FILE {RECORDING}",
            exit_code=2,
        )
    folder = Path(tempfile.mkdtemp(prefix="underglass-demo-"))
    store = Path(db).absolute() if db else folder / "demo.db"
    try:
        replay = PacedReplay(RECORDING, store, salt=SALT)
        try:
            replay.start()
            from analysis.reading_place import ReadingPlace
            from tui.app import UnderglassApp

            UnderglassApp(ReadingPlace(store), settings=top_settings(None, None)).run()
        finally:
            replay.close()
    finally:
        if not keep:
            _remove(folder)
    if replay.failure is not None:
        raise UnderglassError(f"the recording cannot be shown: {replay.failure}")
    if keep or db:
        _say(f"look around: underglass top {store}")
    return 0


def _say(text: str) -> None:
    click.echo(f"underglass: {text}", err=True)


def _give(who: Invoker, *paths: Path) -> None:
    """Model and agent run as the invoking user and read and write here."""
    if who.under_sudo:
        for path in paths:
            os.chown(path, who.uid, who.gid)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
