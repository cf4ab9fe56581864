"""The actions that hand out what is selected: copy, export, pager, screenshot.

In: the subject under the cursor of the present screen; all of its record is read first. Out: the
clipboard (OSC 52), files in `Settings.export_dir` that only the user may read, or $PAGER.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App, SuspendNotSupported

from analysis.cells import one_line, printable
from analysis.table_layout import Row
from tui.export import TableExport, private_file, record_json
from tui.screens.choice import Choice, ChoiceScreen
from tui.screens.record import record_question
from tui.view import Subject

if TYPE_CHECKING:
    from probes.errors import UnderglassError
    from tui.screens.main import MainScreen
    from tui.settings import Settings
    from tui.view import Question

_NOTHING = "Nothing is selected."


class HandingOut(App[None]):
    """The part of the app that hands out; the rest is in `tui.app`."""

    settings: Settings
    _main: MainScreen
    ask: Callable[[Question, Callable[[Any, UnderglassError | None], None]], None]

    def action_copy(self) -> None:
        """What is selected as JSON, to the terminal's clipboard."""

        def copy(subject: Subject, row: Row) -> None:
            text = record_json(row)
            self.copy_to_clipboard(text)
            self._say(f"Copied {subject.kind} {subject.key}: {len(text):,} characters of JSON.")

        self._with_record(copy)

    def action_pager(self) -> None:
        """What is selected, in the user's pager."""

        def page(_subject: Subject, row: Row) -> None:
            pager = shlex.split(os.environ.get("PAGER") or "less")
            text = printable(record_json(row).replace("\\n", "\n"))
            try:
                with self.suspend():
                    subprocess.run(pager, input=text.encode(), check=False)
            except (OSError, SuspendNotSupported) as error:
                self._complain(f"{' '.join(pager)}: {error}")

        self._with_record(page)

    def action_picture(self) -> None:
        """The screen as an SVG file."""
        drawn = self.export_screenshot(title=self.title)
        self._write("underglass", ".svg", drawn)

    def action_export(self) -> None:
        """Choose what to write to a file."""
        subject = self._subject()
        choices = []
        if subject is not None:
            label = f"{subject.kind} {one_line(subject.key)[:40]}"
            choices.append(Choice("json", "JSON", f"of the {label}"))
        table = self._main.table if self.screen is self._main else None
        if table is not None:
            choices.append(Choice("csv", "CSV", f"of {table.label}, filtered and sorted as here"))
        choices.append(Choice("svg", "SVG", "of the screen"))

        def chosen(key: str | None) -> None:
            if key == "json":
                self._with_record(
                    lambda subject, row: self._write(
                        f"{subject.kind}-{subject.key}", ".json", record_json(row) + "\n"
                    )
                )
            elif key == "csv":
                self._export_table()
            elif key == "svg":
                self.call_after_refresh(self.action_picture)

        self.push_screen(ChoiceScreen("Export", choices), chosen)

    def _export_table(self) -> None:
        main = self._main
        table = main.table
        assert table is not None
        try:
            path = private_file(self.settings.export_dir, table.name, ".csv")
        except OSError as error:
            self._complain(str(error))
            return

        def done(written: int | None, error: UnderglassError | None) -> None:
            if error is not None:
                self._complain(str(error))
            else:
                self._say(f"{written:,} rows in {path}")

        sorting = main.sorting
        self.ask(TableExport(table, main.scope.session_id, main.scope.where, sorting, path), done)

    def _subject(self) -> Subject | None:
        """What is selected on the screen that is uppermost."""
        find = getattr(self.screen, "subject", None)
        found = find() if callable(find) else None
        return found if isinstance(found, Subject) else None

    def _with_record(self, use: Callable[[Subject, Row], object]) -> None:
        """Read all that is known of what is selected, then use it."""
        subject = self._subject()
        if subject is None:
            self._complain(_NOTHING)
            return
        question = record_question(subject)
        if question is None:
            use(subject, subject.record)
            return

        def done(row: Row | None, _error: UnderglassError | None) -> None:
            use(subject, row or subject.record)

        self.ask(question, done)

    def _write(self, stem: str, suffix: str, text: str) -> Path | None:
        try:
            path = private_file(self.settings.export_dir, stem, suffix)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            self._complain(str(error))
            return None
        self._say(f"Written to {path}")
        return path

    def _say(self, text: str) -> None:
        self.notify(text, markup=False)

    def _complain(self, text: str) -> None:
        self.notify(one_line(text), severity="warning", markup=False)
