"""`underglass redecode`: decode kept raw data again and put it in the place of what is stored."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from underglass import __version__, privileges
from underglass.analysed import analysed_with_bar
from underglass.limits import runaway_limits
from underglass.options import content_option, db_option, json_option, prices_option
from underglass.paths import fingerprint_salt, invoker, make_private, state_directory, store_path
from underglass.prices import price_file, price_overrides
from underglass.progress import BYTES_FROM, progress_bar

if TYPE_CHECKING:
    from collector.decoding import Progress
    from collector.redecode import KeptCapture, Redecoded


@click.command("redecode")
@click.argument("captures", nargs=-1, metavar="[CAPTURE_ID|FILE]...")
@click.option("--all", "everything", is_flag=True, help="Every capture that has raw data.")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@click.option(
    "--force",
    is_flag=True,
    help="Also where raw data is damaged or cut short: calls that it no longer holds are removed.",
)
@db_option
@content_option
@prices_option
@json_option
def command(
    captures: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    force: bool,
    db: str | None,
    no_content: bool,
    prices: Path | None,
    as_json: bool,
) -> int:
    """Decode captures again with this version: their raw data (see --keep-raw), or recordings.

    What the store holds of a capture is replaced in one step; a recording of a capture that the
    store does not have is added. Needs no root. Exit code 1 when raw data could not be read
    whole.
    """
    from analysis.analyst import Analyst
    from collector.recording import NotARecording
    from collector.redaction import Redactor
    from collector.redecode import captures_of, redecode
    from collector.store import Store
    from collector.store_errors import StoreMissing

    if everything == bool(captures):
        raise click.UsageError("name captures or files, or say --all")
    path, state = store_path(db), state_directory()
    overrides, limits = price_overrides(price_file(prices)), runaway_limits()
    privileges.drop(invoker())  # what is stored belongs to the user, also under sudo
    if not path.exists() and (dry_run or not any(Path(name).is_file() for name in captures)):
        raise StoreMissing(path)
    make_private(path.parent)
    salt = fingerprint_salt(state)
    done: list[Redecoded] = []
    unreadable = False
    with Store.open(path, content=not no_content) as store:
        known = captures_of(store)
        sources = _with_raw_data(known) if everything else _named(captures, known, path)
        for source in sources:
            with _bar(source) as progress:
                try:
                    one = redecode(
                        store,
                        source,
                        Redactor(salt),
                        version=__version__,
                        content=not no_content,
                        overrides=overrides,
                        force=force,
                        dry_run=dry_run,
                        progress=progress,
                    )
                except NotARecording as error:
                    if not everything:
                        raise
                    unreadable = True
                    click.echo(f"underglass: {error}", err=True)
                    continue
            done.append(one)
            if one.damage:
                click.echo(f"underglass: {source}: {one.damage}", err=True)
            if not as_json:
                click.echo(_told(one, dry_run))
        if not dry_run:
            analysed_with_bar(store, Analyst(store, limits=limits))
    if as_json:
        from underglass.printing import print_json

        print_json([_record(one) for one in done])
    return int(unreadable or any(one.damage for one in done))


def _with_raw_data(known: list[KeptCapture]) -> list[Path]:
    found = [capture.raw for capture in known if capture.raw is not None]
    without = len(known) - len(found)
    if without:
        click.echo(
            f"underglass: {without} of {len(known)} captures have no raw data"
            " (it is kept with --keep-raw)",
            err=True,
        )
    return found


def _named(named: tuple[str, ...], known: list[KeptCapture], store: Path) -> list[Path]:
    """The recordings that the arguments mean: files, and captures by id or its beginning."""
    found = []
    for name in named:
        if Path(name).is_file():
            found.append(Path(name).absolute())
            continue
        meant = [capture for capture in known if name and capture.capture_id.startswith(name)]
        if len(meant) != 1:
            several = "several captures begin so" if meant else "no file and no capture of that id"
            raise click.UsageError(
                f"{name}: {several} in {store}; see: underglass sql"
                " 'SELECT capture_id, command, raw_path FROM captures'"
            )
        (capture,) = meant
        if capture.raw is None:
            raise click.UsageError(
                f"the capture {capture.capture_id} (`{capture.command}`) has no raw data;"
                " it is kept with: underglass run --keep-raw"
            )
        found.append(capture.raw)
    return found


def _bar(source: Path) -> AbstractContextManager[Progress | None]:
    return progress_bar(f"decoding {source.name}", source.stat().st_size, least=BYTES_FROM)


def _told(one: Redecoded, dry_run: bool) -> str:
    change = one.change
    would = "would be " if dry_run else ""
    lines = [f"{one.info.capture_id}  {one.info.command}"]
    lines.append(f"  {change.calls_before} calls before, {change.calls_after} after")
    if change.added:
        by_api = ", ".join(f"{number} {api}" for api, number in change.added.items())
        lines.append(f"  newly decoded: {by_api}")
    differences = (
        (change.changed_models, "another model"),
        (change.changed_usage, "other token counts"),
        (change.changed_cost, "another price"),
        (change.changed_otherwise, "other differences"),
    )
    changed = ", ".join(f"{number} with {what}" for number, what in differences if number)
    if changed:
        lines.append(f"  changed: {changed}")
    if change.gone:
        lines.append(f"  {change.gone} {would}no longer there")
    if not change.covers_all:
        lines.append(
            "  the raw data ends before what is stored: only calls that ended in it"
            f" {'would be' if dry_run else 'were'} replaced, {change.kept} kept as they were;"
            " to remove those: --force"
        )
    return "\n".join(lines)


def _record(one: Redecoded) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "capture_id": one.info.capture_id,
        "command": one.info.command,
        "source": str(one.source),
        "frames": one.frames,
        "damage": one.damage,
        **asdict(one.change),
    }
