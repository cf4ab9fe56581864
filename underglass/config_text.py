"""The configuration as text: the commented example, values as TOML, the table of docs/config.md.

In: the declarations of `underglass.settings`. Out: text; a test compares docs/config.md with it.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collector.url_secrets import without_secrets
from underglass.settings import SECTIONS, SETTINGS, Setting

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEAD = """\
# Settings of underglass. Where: ~/.config/underglass/config.toml, or what $UNDERGLASS_CONFIG names;
# for the service /etc/underglass/config.toml. Flags go before variables, and these before files.
# Each setting stands here with its default, or an example, after a #.
"""


_BEGIN, _END = "<!-- settings -->\n", "<!-- end of settings -->\n"
_HEADING = """
| Setting | Default | Variable | Flag | What it means |
|---|---|---|---|---|
"""


def toml_value(value: Any) -> str:
    """A value as TOML writes it, in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {toml_value(each)}" for key, each in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return repr(value)


def shown_value(setting: Setting, value: Any) -> str:
    """A value for people: of a URL that may hold credentials only the host."""
    if setting.secret and value is not None:
        value = [without_secrets(each) for each in value]
    return "" if value is None else toml_value(value)


def example() -> str:
    """A complete file in which every setting is commented out."""
    parts = [_HEAD]
    for section, about in SECTIONS.items():
        if section:
            parts.append(f"\n# {about}\n[{section}]\n")
        parts += [_example(one) for one in SETTINGS if one.section == section]
    return "".join(parts)


def _example(setting: Setting) -> str:
    about = f"{setting.about}{_unit(setting)} {_otherwise(setting)}"
    lines = textwrap.wrap(about, 98, initial_indent="# ", subsequent_indent="# ")
    value = setting.default if setting.default is not None else setting.example
    lines.append(f"# {setting.name} = {toml_value(value)}")
    return "\n" + "\n".join(lines) + "\n"


def _unit(setting: Setting) -> str:
    return f" In {setting.unit}." if setting.unit else ""


def _otherwise(setting: Setting) -> str:
    choices = f"One of {', '.join(setting.choices)}. " if setting.choices else ""
    default = setting.otherwise or toml_value(setting.default)
    return f"{choices}Default: {default}."


def reference() -> str:
    """The tables of docs/config.md: a heading and a table for each section."""
    parts = []
    for section, about in SECTIONS.items():
        if section:
            parts.append(f"\n### `[{section}]`\n\n{about}\n")
        parts.append(_HEADING)
        parts += [_row(one) for one in SETTINGS if one.section == section]
    return "".join(parts)


def _row(setting: Setting) -> str:
    default = setting.otherwise or f"`{toml_value(setting.default)}`"
    choices = ""
    if setting.choices:
        choices = f" One of {', '.join(f'`{each}`' for each in setting.choices)}."
    cells = (
        f"`{setting.name}`",
        default,
        f"`${setting.variable}`" if setting.variable else "",
        f"`{setting.flag}`" if setting.flag else "",
        f"{setting.about}{_unit(setting)}{choices}",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def _rewrite(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    path.write_text(
        before + _BEGIN + reference() + _END + rest.partition(_END)[2], encoding="utf-8"
    )


if __name__ == "__main__":
    _rewrite(Path(sys.argv[1]))
