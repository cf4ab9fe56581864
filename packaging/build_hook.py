"""Puts manual pages into a wheel, as share/man/man1 of where it is installed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface):  # type: ignore[type-arg]
    """Writes the pages before the wheel is built and forgets them after."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the pages; of an editable install there are none."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from underglass.man_pages import write

        self._folder = tempfile.TemporaryDirectory()
        for page in write(Path(self._folder.name)):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Away with them."""
        if version != "editable":
            self._folder.cleanup()
