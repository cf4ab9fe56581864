"""When a session counts as a runaway: the user's own limits.

In: `[limits]` of the configuration, or a file of limits alone. Out: `RunawayLimits` for the
analyst. Such a file is TOML, each key optional, `false` for no limit:

    steps = 250             # tool calls since the user said something
    active_s = 7200         # seconds; a pause counts up to 15 minutes
    cost_usd = 10.0
    calls_after_done = 3    # calls that ask for tools after the agent said that it was done
    steps_after_solved = 20 # tool calls after the tests passed again and again
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import UnderglassError
from underglass.paths import config_directory

if TYPE_CHECKING:
    from analysis.runaways import RunawayLimits

_EXAMPLE = "steps = 250, active_s = 7200, cost_usd = 10.0, a line each; false for no limit"


class BadLimits(UnderglassError):
    """The file of limits cannot be used."""

    exit_code = 2


def runaway_limits() -> RunawayLimits:
    """The limits that are configured, else the usual ones. Raises BadConfig or BadLimits."""
    from analysis.runaways import RunawayLimits
    from underglass.config import Configuration

    configuration = Configuration()
    known: dict[str, Any] = {
        field.name: configuration[f"limits.{field.name}"].value for field in fields(RunawayLimits)
    }
    limits: Any = {name: None if value is False else value for name, value in known.items()}
    return RunawayLimits(**limits)


def limits_file() -> tuple[Path, dict[str, Any]]:
    """`$UNDERGLASS_LIMITS`, else `limits.toml` of the configuration directory, and what it says;
    False is no limit. Raises BadLimits."""
    from analysis.runaways import DEFAULT

    named = os.environ.get("UNDERGLASS_LIMITS")
    path = Path(named) if named else config_directory() / "limits.toml"
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if named:
            raise BadLimits(f"cannot read {path}: {error.strerror}", hint="name a file") from error
        return path, {}
    except OSError as error:
        if not named and not os.path.lexists(path):
            return path, {}  # in a home that is not for this user
        raise BadLimits(f"cannot read {path}: {error.strerror}", hint="name a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadLimits(f"{path}: {error}", hint=f"write it like this: {_EXAMPLE}") from error
    known = {field.name: getattr(DEFAULT, field.name) for field in fields(DEFAULT)}
    return path, {name: _limit(name, value, known, path) for name, value in given.items()}


def _limit(name: str, value: Any, known: dict[str, Any], path: Path) -> Any:
    if name not in known:
        raise BadLimits(f"{path}: unknown key {name!r}", hint=f"known are: {', '.join(known)}")
    if value is False and name in ("steps", "active_s", "cost_usd"):
        return False
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise BadLimits(f"{path}: {name} = {value!r} is no limit", hint=_EXAMPLE)
    return type(known[name])(value)
