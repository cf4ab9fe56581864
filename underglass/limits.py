"""When a session counts as a runaway: the user's own limits.

In: the environment, the user's configuration directory. Out: `RunawayLimits` for the analyst. A
TOML file, each key optional, `false` for no limit:

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
    """The limits in `$UNDERGLASS_LIMITS`, else in `limits.toml` of the configuration directory,
    else the usual ones. Raises BadLimits."""
    from analysis.runaways import DEFAULT, RunawayLimits

    named = os.environ.get("UNDERGLASS_LIMITS")
    path = Path(named) if named else config_directory() / "limits.toml"
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if named:
            raise BadLimits(f"cannot read {path}: {error.strerror}", hint="name a file") from error
        return DEFAULT
    except OSError as error:
        raise BadLimits(f"cannot read {path}: {error.strerror}", hint="name a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadLimits(f"{path}: {error}", hint=f"write it like this: {_EXAMPLE}") from error
    known = {field.name: getattr(DEFAULT, field.name) for field in fields(RunawayLimits)}
    for name, value in given.items():
        known[name] = _limit(name, value, known, path)
    return RunawayLimits(**known)


def _limit(name: str, value: Any, known: dict[str, Any], path: Path) -> Any:
    if name not in known:
        raise BadLimits(f"{path}: unknown key {name!r}", hint=f"known are: {', '.join(known)}")
    if value is False and name in ("steps", "active_s", "cost_usd"):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise BadLimits(f"{path}: {name} = {value!r} is no limit", hint=_EXAMPLE)
    return type(known[name])(value)
