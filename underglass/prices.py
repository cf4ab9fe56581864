"""The user's own prices: which file holds them.

In: `--prices`, the configuration. Out: `Override`s for the
pipeline. The file's format is that of `collector.pricing.load_overrides`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import UnderglassError
from underglass.paths import config_directory

if TYPE_CHECKING:
    from collector.pricing import Override

_EXAMPLE = (
    '[[model]] match = "my-model*", input = 0.5, output = 2.0, a line each; '
    "dollars per million tokens"
)


class BadPrices(UnderglassError):
    """The file of prices cannot be used."""


def price_file(given: Path | None) -> Path | None:
    """`given`, else the setting `prices`, else `prices.toml` in the configuration directory, which
    need not be there (None). Raises BadConfig."""
    from underglass import config

    chosen = given or config.given("prices")
    if chosen:
        return Path(chosen)
    path = config_directory() / "prices.toml"
    return path if os.path.exists(path) else None


def price_overrides(path: Path | None) -> tuple[Override, ...]:
    """The prices in a file; none when there is none. Raises BadPrices."""
    if path is None:
        return ()
    from collector.pricing import load_overrides

    try:
        return load_overrides(path)
    except OSError as error:
        raise BadPrices(
            f"cannot read {path}: {error.strerror}", hint="name a file that exists"
        ) from error
    except ValueError as error:
        raise BadPrices(str(error), hint=f"write it like this: {_EXAMPLE}") from error
