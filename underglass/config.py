"""What is configured: the one TOML file, the one of the machine below it, and the environment.

In: `$UNDERGLASS_CONFIG`, else `config.toml` in the invoking user's configuration directory, then
/etc/underglass/config.toml. Out: for each of `underglass.settings.SETTINGS` its value and where it
came from. A flag goes before the environment, then the user's file, the machine's, the default.
Under sudo, ask before privileges are dropped: later it is not known whose file counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from probes.errors import UnderglassError
from underglass.paths import config_directory, invoker
from underglass.settings import BY_KEY, SECTIONS, SETTINGS, Setting

SYSTEM_FILE = Path("/etc/underglass/config.toml")
_MOST_BYTES = 1 << 20
_MOST_LINES = 2000  # of a file in which the line of a mistake is looked for
_WORDS = {"1": True, "true": True, "yes": True, "on": True}
_WORDS |= {"0": False, "false": False, "no": False, "off": False, "": False}

Origin = Literal["environment", "file", "default"]


class BadConfig(UnderglassError):
    """The configuration cannot be used; the message says where and why."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Configured:
    """A setting with its value. `where`: the variable's name, or the file and line."""

    setting: Setting
    value: Any
    origin: Origin
    where: str | None = None


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    text: str
    said: Mapping[str, Any]  # by key; checked

    def where(self, key: str) -> str:
        line = _line_of(self.text, key)
        return f"{self.path}:{line}" if line else str(self.path)


def user_file() -> Path:
    """The file that `$UNDERGLASS_CONFIG` names, else the one of the configuration directory."""
    named = os.environ.get("UNDERGLASS_CONFIG")
    return Path(named).absolute() if named else config_directory() / "config.toml"


class Configuration:
    """All settings, read once. Raises BadConfig for what no file may say, also elsewhere in it."""

    def __init__(self) -> None:
        self._files: list[_File] = []
        named = bool(os.environ.get("UNDERGLASS_CONFIG"))
        for path, needed in ((user_file(), named), (SYSTEM_FILE, False)):
            text = _read(path, needed=needed)
            if text is not None:
                self._files.append(_File(path, text, _parsed(text, path)))

    def __getitem__(self, key: str) -> Configured:
        setting = BY_KEY[key]
        given = os.environ.get(setting.variable) if setting.variable else None
        if given is not None and (given or setting.kind == "flag"):
            return Configured(setting, _from_environment(setting, given), "environment",
                              f"${setting.variable}")  # fmt: skip
        older = _older_files(setting)
        if older is not None and older.origin == "environment":
            return older
        for file in self._files:
            if older is not None and file.path == SYSTEM_FILE:
                return older
            if key in file.said:
                return Configured(setting, file.said[key], "file", file.where(key))
        return older or Configured(setting, setting.default, "default")

    def everything(self) -> tuple[Configured, ...]:
        """All settings in the order of the file."""
        return tuple(self[setting.key] for setting in SETTINGS)

    def given(self, key: str) -> Any:
        """The value that somebody gave; None where the default holds."""
        found = self[key]
        return None if found.origin == "default" else found.value

    def default_of(self, command: str, parameter: str) -> Any:
        """What a parameter of a command is when it is not on the command line; None: nothing
        is configured, the command's own default holds."""
        for setting in SETTINGS:
            if setting.sets(command, parameter):
                value = self.given(setting.key)
                return not value if setting.inverted and value is not None else value
        return None


def value(key: str) -> Any:
    """The value of one setting now. Raises BadConfig."""
    return Configuration()[key].value


def given(key: str) -> Any:
    """The value that somebody gave; None where the default holds. Raises BadConfig."""
    return Configuration().given(key)


def _read(path: Path, *, needed: bool) -> str | None:
    hint = "name a file that you may read in $UNDERGLASS_CONFIG, or unset it"
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadConfig(f"{path} is no file", hint=hint)
            text = file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if needed:
            raise BadConfig(f"cannot read {path}: {error.strerror}", hint=hint) from error
        return None
    except OSError as error:
        if not needed and isinstance(error, PermissionError) and not os.path.lexists(path):
            return None  # in a home that is not for this user: nobody can say that it is there
        hint = hint if needed else f"make it readable: chmod u+r {path}"
        raise BadConfig(f"cannot read {path}: {error.strerror}", hint=hint) from error
    if len(text) > _MOST_BYTES:
        raise BadConfig(f"{path} is larger than 1 MiB", hint="a configuration is a few lines")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path}: not UTF-8 at byte {error.start}", hint="save it as UTF-8"
                        ) from error  # fmt: skip


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO does not answer


def _parsed(text: str, path: Path) -> dict[str, Any]:
    """What a file says, by key; relative paths made whole. Raises BadConfig."""
    import tomllib

    try:
        said = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadConfig(
            f"{path}: not TOML: {error}",
            hint="`underglass config --example` shows how it is written",
        ) from error

    def where(key: str) -> str:
        line = _line_of(text, key)
        return f"{path}:{line}" if line else str(path)

    found: dict[str, Any] = {}
    for name, value in said.items():
        if name in SECTIONS and name:
            if not isinstance(value, dict):
                raise BadConfig(f"{where(name)}: {name} is a table", hint=f"write [{name}]")
            pairs = [(f"{name}.{each}", below) for each, below in value.items()]
        else:
            pairs = [(name, value)]
        for key, each in pairs:
            if key not in BY_KEY:
                raise _unknown(key, where(key))
            found[key] = _checked(BY_KEY[key], each, where(key), path.parent)
    return found


def _unknown(key: str, where: str) -> BadConfig:
    names = [*BY_KEY, *(section for section in SECTIONS if section)]
    section, _, last = key.rpartition(".")
    near = get_close_matches(key, names, n=1)
    if not near:  # right but for its table
        of_last = {setting.name: setting.key for setting in SETTINGS}
        near = [of_last[each] for each in get_close_matches(last, of_last, n=1)]
    text = f"{where}: there is no setting {key!r}"
    if near:
        return BadConfig(f"{text}; did you mean {near[0]}?", hint=_how_to_write(near[0]))
    known = [setting.name for setting in SETTINGS if setting.section == section]
    inside = f"[{section}] knows: {', '.join(known)}; " if section and known else ""
    return BadConfig(text, hint=f"{inside}`underglass config` lists all settings")


def unknown_key(key: str) -> BadConfig:
    """The error for a key that a user asked for."""
    return _unknown(key, "underglass config")


def _how_to_write(key: str) -> str:
    setting = BY_KEY.get(key)
    if setting is None:
        return f"write [{key}]"
    inside = f" in [{setting.section}]" if setting.section else " before the first [table]"
    return f"write `{setting.name} = ...`{inside}: {setting.expected}"


def _checked(setting: Setting, given: Any, where: str, folder: Path) -> Any:
    """The value as it is used. Raises BadConfig with what is expected."""
    found = _CHECKS[setting.kind](setting, given)
    if found is None:
        shown = "a value" if setting.secret else repr(given)
        raise BadConfig(
            f"{where}: {setting.key} is {shown[:80]}, but must be {setting.expected}",
            hint=f"`underglass config {setting.key}` says what it means",
        )
    if setting.kind == "path" and found != "-":
        return str(folder / _at_home(found))
    return found


def _at_home(path: str) -> str:
    home = str(invoker().home)
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def _text(_: Setting, given: Any) -> Any:
    return given if isinstance(given, str) and given and "\0" not in given else None


def _flag(_: Setting, given: Any) -> Any:
    return given if isinstance(given, bool) else None


def _count(_: Setting, given: Any) -> Any:
    whole = isinstance(given, int) and not isinstance(given, bool)
    return given if whole and 0 < given < 1 << 63 else None


def _number(_: Setting, given: Any) -> Any:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    return float(given) if number and 0 < given < 1e18 else None


def _limit(setting: Setting, given: Any) -> Any:
    if given is False:
        return False
    number = _number(setting, given)
    return int(number) if number is not None and isinstance(setting.default, int) else number


def _size(_: Setting, given: Any) -> Any:
    from underglass.options import parse_size

    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    return text if parse_size(text) is not None else None


def _since(_: Setting, given: Any) -> Any:
    from analysis.since import parse_since

    try:
        parse_since(given if isinstance(given, str) else str(given or ""), 0)
    except (UnderglassError, OverflowError):
        return None
    return str(given)  # TOML has times of its own


def _choice(setting: Setting, given: Any) -> Any:
    return given if isinstance(given, str) and given in setting.choices else None


def _commands(_: Setting, given: Any) -> Any:
    several = [given] if isinstance(given, str) else given
    if not isinstance(several, list) or not all(_text(_, each) for each in several):
        return None
    return several


def _keys(_: Setting, given: Any) -> Any:
    if not isinstance(given, dict):
        return None
    return given if all(isinstance(each, str) and each for each in given.values()) else None


_CHECKS: Mapping[str, Callable[[Setting, Any], Any]] = {
    "path": _text,
    "text": _text,
    "flag": _flag,
    "count": _count,
    "number": _number,
    "size": _size,
    "since": _since,
    "choice": _choice,
    "commands": _commands,
    "keys": _keys,
    "limit": _limit,
}


def _from_environment(setting: Setting, given: str) -> Any:
    """A variable's text as the value. Relative paths count from where underglass is called."""
    value: Any = given
    if setting.kind == "flag":
        value = bool(given) if setting.variable == "NO_COLOR" else _WORDS.get(given.lower(), given)
    elif setting.kind == "limit" and given.lower() in ("false", "none"):
        value = False
    elif setting.kind in ("count", "number", "limit"):
        try:
            value = float(given) if "." in given or setting.kind != "count" else int(given)
        except ValueError:
            pass
    return _checked(setting, value, f"${setting.variable}", Path.cwd())


def _older_files(setting: Setting) -> Configured | None:
    """What prices.toml says by being there, and what files of limits say."""
    if setting.key == "prices":
        path = config_directory() / "prices.toml"
        if os.path.exists(path):
            return Configured(setting, str(path), "default", str(path))
    if setting.section == "limits":
        from underglass.limits import limits_file

        path, said = limits_file()
        if setting.name in said:
            named = bool(os.environ.get("UNDERGLASS_LIMITS"))
            origin: Origin = "environment" if named else "file"
            return Configured(setting, said[setting.name], origin, str(path))
    return None


def _line_of(text: str, key: str) -> int | None:
    """The line on which a key is set: the first one with which the file has it."""
    import tomllib

    lines = text.splitlines(keepends=True)
    if len(lines) > _MOST_LINES:
        return None
    last = key.rpartition(".")[2]
    for number, line in enumerate(lines, 1):
        if last not in line:
            continue
        try:
            found: Any = tomllib.loads("".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found is not None:
            return number
    return None
