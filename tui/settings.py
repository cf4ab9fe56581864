"""What the user chose for the dashboard.

In: the config file and flags, read by `underglass`. Out: `Settings`, given to the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

INTERVALS_S = (0.25, 0.4, 1.0, 2.0, 5.0, 10.0, 30.0)
"""What `+` and `-` step through."""
USUAL_INTERVAL_S = INTERVALS_S[1]


@dataclass(frozen=True, slots=True)
class Settings:
    """`keys`: action of `tui.keys.KEYS` -> keys. `theme`: a name of Textual's, None the usual one.
    `interval_s` None: the store is looked at only when asked. `export_dir`: where files go.
    """

    theme: str | None = None
    interval_s: float | None = USUAL_INTERVAL_S
    keys: Mapping[str, str] = field(default_factory=dict)
    export_dir: Path = Path()


def theme_names() -> tuple[str, ...]:
    """What `theme` may be. Imports Textual."""
    from textual.theme import BUILTIN_THEMES

    return tuple(BUILTIN_THEMES)
