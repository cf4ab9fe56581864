"""Manual pages, made of what the commands say of themselves.

In: the click commands. Out: groff source, a page a command: `python -m underglass.man_pages DIR`
(`make man`), also when a wheel is built. Imports nothing beyond what `--help` needs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from underglass import __version__
from underglass.cli import COMMANDS, underglass
from underglass.settings import SETTINGS

EXIT_CODES = (
    ("0", "It worked."),
    ("1", "It failed; standard error says why, and how to mend it."),
    ("2", "Used wrongly: an option, a filter, a time or a setting that there is not."),
    ("3", "Capture cannot work here: `underglass doctor` says why."),
    ("130", "Ctrl-C."),
    ("other", "`run`, `record` and `demo` return what the command that they ran returned."),
)
_FILES = (
    ("~/.config/underglass/config.toml", "Settings; see underglass-config(1)."),
    ("/etc/underglass/config.toml", "Settings of the machine and of the service."),
    ("~/.local/state/underglass/underglass.db", "The store, if no other is named."),
)


def pages() -> dict[str, str]:
    """File name -> groff source, of every command and of the program itself."""
    root = click.Context(underglass, info_name="underglass", **underglass.context_settings)
    found = {"underglass.1": _program(root)}
    for name in COMMANDS:
        command = underglass.get_command(root, name)
        assert command is not None
        for context in _with_subcommands(click.Context(command, info_name=name, parent=root)):
            found[f"{context.command_path.replace(' ', '-')}.1"] = _page(context)
    return found


def write(folder: Path) -> list[Path]:
    """Write all pages; what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in pages().items():
        written.append(folder / name)
        written[-1].write_text(text, encoding="utf-8")
    return written


def _with_subcommands(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            yield from _with_subcommands(click.Context(command, info_name=name, parent=context))


def _page(context: click.Context) -> str:
    command = context.command
    text = command.help or ""
    parts = [_head(context.command_path, _first_sentence(text)), ".SH SYNOPSIS\n", _usage(context)]
    parts += [".SH DESCRIPTION\n", _prose(text), *_options(context)]
    if isinstance(command, click.Group):
        parts.append(".SH COMMANDS\n")
        parts += [_item(name, _first_sentence(below.help or ""))
                  for name, below in command.commands.items()]  # fmt: skip
    parts += [".SH SEE ALSO\n.BR underglass (1),\n.BR underglass\\-config (1)\n"]
    return "".join(parts)


def _program(context: click.Context) -> str:
    parts = [
        _head("underglass", "see what AI agents really do, without touching them"),
        ".SH SYNOPSIS\n", _usage(context), ".SH DESCRIPTION\n", _prose(underglass.help or ""),
        *_options(context), ".SH COMMANDS\n",
        *(_item(name, f"{about} See underglass-{name}(1).")
          for name, (_, about) in COMMANDS.items()),
        ".SH EXIT STATUS\n", *(_item(code, about) for code, about in EXIT_CODES),
        ".SH ENVIRONMENT\nFlags go before variables, and variables before files.\n",
        _item("UNDERGLASS_CONFIG", "The file of settings."),
        *(_item(one.variable, one.about) for one in SETTINGS if one.variable),
        ".SH FILES\n", *(_item(name, about) for name, about in _FILES),
    ]  # fmt: skip
    return "".join(parts)


def _head(path: str, about: str) -> str:
    name = path.replace(" ", "-")
    title = f'.TH "{_dashed(name.upper())}" 1 "" "underglass {__version__}" "underglass"\n'
    return f"{title}.SH NAME\n{_dashed(name)} \\- {_text(about.rstrip('.'))}\n"


def _usage(context: click.Context) -> str:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return f".B {_dashed(context.command_path)}\n{_text(pieces)}\n"


def _options(context: click.Context) -> list[str]:
    records = [parameter.get_help_record(context) for parameter in context.command.params]
    help_option = context.command.get_help_option(context)
    if help_option is not None:
        records.append(help_option.get_help_record(context))
    return [".SH OPTIONS\n", *(_item(*record) for record in dict.fromkeys(filter(None, records)))]


def _item(name: str, about: str) -> str:
    return f".TP\n.B {_dashed(name)}\n{_text(about)}\n"


def _prose(text: str) -> str:
    """Paragraphs; those after a `\\b` keep their lines, as click has it."""
    parts = []
    for paragraph in re.split(r"\n[ \t]*\n", text.strip()):
        lines = [line.strip() for line in paragraph.split("\n")]
        if lines[0] == "\b":
            parts.append(".PP\n.nf\n" + "".join(f"{_text(line)}\n" for line in lines[1:]) + ".fi\n")
        else:
            parts.append(f".PP\n{_text(' '.join(lines))}\n")
    return "".join(parts)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", " ".join(text.replace("\b", "").split()), maxsplit=1)[0]


def _text(text: str) -> str:
    """Prose as groff reads it: nothing is a request, and code is bold."""
    text = " ".join(text.replace("\\", "\\e").split(" "))
    text = re.sub(r"`([^`]+)`", lambda code: f"\\fB{code[1].replace('-', chr(92) + '-')}\\fR", text)
    text = re.sub(r"(?<![\w\\])--?(?=\w)", lambda dash: dash[0].replace("-", "\\-"), text)
    return f"\\&{text}" if text[:1] in (".", "'") else text


def _dashed(text: str) -> str:
    """A name or option: its hyphens are to be found and copied."""
    return text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    print(f"{len(write(Path(sys.argv[1])))} pages in {sys.argv[1]}")
