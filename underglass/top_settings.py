"""What the dashboard is told of the configuration.

In: the options of `underglass top`, and `[top]` of the configuration. Out: `tui.settings.Settings`.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from underglass.config import BadConfig, Configuration

if TYPE_CHECKING:
    from tui.settings import Settings


def top_settings(theme: str | None, refresh_s: float | None) -> Settings:
    """The settings; whether there are such a theme and such actions is looked up. Raises
    BadConfig. Without colours the dashboard is told so by NO_COLOR, before it is imported.
    """
    configuration = Configuration()
    if configuration["no_color"].value:
        os.environ["NO_COLOR"] = "1"
    from tui.keys import KEYS
    from tui.settings import Settings, theme_names
    from tui.views import VIEWS

    if theme is not None and theme not in theme_names():
        raise _unknown("theme", theme, list(theme_names()))
    keys = configuration["top.keys"]
    actions = [*KEYS, *(f"view_{view.name}" for view in VIEWS)]
    for action in keys.value or ():
        if action not in actions:
            raise _unknown(f"{keys.where}: action", action, actions)
    export_dir = configuration.given("top.export_dir")
    return Settings(
        theme=theme,
        interval_s=refresh_s or configuration["top.refresh_s"].value,
        keys=keys.value or {},
        export_dir=Path(export_dir) if export_dir else Path(),
    )


def _unknown(what: str, name: str, known: list[str]) -> BadConfig:
    near = get_close_matches(name, known, n=1)
    suggestion = f"; did you mean {near[0]}?" if near else ""
    return BadConfig(f"there is no {what} {name!r}{suggestion}", hint=f"known: {', '.join(known)}")
