"""`underglass config`: every setting, its value, where it came from and what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from underglass.options import json_option

if TYPE_CHECKING:
    from underglass.config import Configured


def _keys(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from underglass.settings import BY_KEY

    return [key for key in BY_KEY if key.startswith(incomplete)]


@click.command("config")
@click.argument("key", required=False, shell_complete=_keys)
@click.option("--example", is_flag=True, help="Print a complete file with comments.")
@click.option("--path", is_flag=True, help="Print which file is yours, also before it is there.")
@json_option
def command(key: str | None, example: bool, path: bool, as_json: bool) -> None:
    """Show every setting: its value, where it comes from and what it means; or the value of KEY.

    Flags go before environment variables, these before the user's file, that before
    /etc/underglass/config.toml. Begin with: underglass config --example > $(underglass config
    --path)
    """
    from underglass.config import Configuration, unknown_key, user_file
    from underglass.config_text import example as example_text
    from underglass.printing import print_json
    from underglass.settings import BY_KEY

    if path:
        click.echo(user_file())
        return
    if example:
        click.echo(example_text(), nl=False)
        return
    if key is not None and key not in BY_KEY:
        raise unknown_key(key)
    configuration = Configuration()
    if key is not None:
        found = configuration[key]
        if as_json:
            print_json(_record(found))
        else:
            for line in _lines(found.value):
                click.echo(line)
    elif as_json:
        print_json([_record(one) for one in configuration.everything()])
    else:
        _print(configuration.everything())


def _record(found: Configured) -> dict[str, Any]:
    setting = found.setting
    return {
        "key": setting.key,
        "value": found.value,
        "origin": found.origin,
        "where": found.where,
        "about": setting.about,
        "unit": setting.unit,
        "default": setting.default,
        "otherwise": setting.otherwise or None,
        "variable": setting.variable,
        "flag": setting.flag,
    }


def _lines(value: Any) -> list[str]:
    """A value bare, as scripts want it: a text without quotes, a list's items on lines."""
    from underglass.config_text import toml_value

    if value is None:
        return []
    several = value if isinstance(value, list) else [value]
    return [each if isinstance(each, str) else toml_value(each) for each in several]


def _print(found: tuple[Configured, ...]) -> None:
    from analysis import cells
    from analysis.table_layout import Column, Table
    from underglass.config_text import shown_value
    from underglass.printing import print_table

    table = Table(
        "config",
        "Settings",
        ("key",),
        (
            Column("key", "setting", 25, "Its key."),
            Column("value", "value", 14, "Its value.", cells.plain, max_width=44),
            Column("where", "from", 8, "Where it comes from.", max_width=44),
            Column("about", "what it means", 24, "In a sentence.", max_width=90),
        ),
    )
    rows = [
        {
            "key": one.setting.key,
            "value": shown_value(one.setting, one.value) or f"({one.setting.otherwise})",
            "where": one.where or "default",
            "about": one.setting.about + (f" In {one.setting.unit}." if one.setting.unit else ""),
        }
        for one in found
    ]
    print_table(table, rows, empty="")
