"""The filter language of the dashboard and of `--where`: what rows must be like.

In: the user's text and the `Table` whose columns it names. Out: a `Condition`, SQL on the table's
view with parameters. Terms are separated by spaces, and all must hold:

    opus  "rate limit"  =sonnet            in any column of text; one that is just so
    model:opus  model:=gpt-5  model:*mini  holds, is exactly, looks like
    status:error,incomplete  in:100,200    any of them
    cost:>0.1  total:2s..1m  in:>=100k     numbers, durations, sizes
    cache:<50%                             shares
    time:10m  time:>2h  time:2h..1h        the last ten minutes, longer ago, from and until
    cost:none  session:any                 not known; known
    !status:ok                             leave out what fits

A column is named by its label, its field or the beginning of either, with `_` for spaces; fields of
the view that no column shows are named in full. Case does not matter. Nothing of the text but
parameters reaches the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from analysis.cells import printable
from analysis.cells import share as share_cell
from analysis.since import parse_since
from analysis.table_layout import Column, Table
from probes.errors import UnderglassError

_TERM = re.compile(r'(!?)(?:([A-Za-z][A-Za-z0-9_.]*):)?(=?)(?:"([^"]*)"?|(\S*))')
_NUMBER = re.compile(r"[$]?([+-]?(?:\d[\d_]*\.?\d*|\.\d+))([a-z%]*)", re.IGNORECASE | re.ASCII)
_COMPARED = re.compile(r"(>=|<=|>|<)(.+)", re.DOTALL)
_AGE = re.compile(r"\s*\d+[smhdw]\s*")
_PLAIN_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9}
_MS_UNITS = {"": 1.0, "ms": 1.0, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
_SHARE_UNITS = {"": 1.0, "%": 0.01}
_WORDS = {"true": True, "yes": True, "error": True, "false": False, "no": False, "ok": False}
_NUMERIC = re.compile(r"(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\))")
_MOST_TERMS = 64
_MOST_CHARS = 4000
_MOST_DIGITS = 18  # of a BIGINT

Kind = Literal["text", "texts", "number", "time", "flag"]
_TEXTS = ("text", "texts")


class BadFilter(UnderglassError):
    """A filter that cannot be understood."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter. `field` is what the user wrote before the colon."""

    text: str
    field: str | None = None
    inverse: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL that is true for the rows that are meant, and the parameters that it names."""

    sql: str = "TRUE"
    parameters: Mapping[str, Any] | None = None


def parse_terms(text: str) -> tuple[Term, ...]:
    """The terms of a filter, in order; a column without a value is none yet."""
    return tuple(
        Term(quoted or word, field or None, bool(inverse), bool(exact))
        for inverse, field, exact, quoted, word in _TERM.findall(text)
        if quoted or word
    )


def condition(
    text: str, table: Table, types: Mapping[str, str], now_ns: int, *, prefix: str = "where"
) -> Condition:
    """What `text` asks of the rows of `table`, whose fields have DuckDB's `types`.

    `now_ns` (Unix time) is what ages count from; parameters are named `prefix` and a number.
    Raises BadFilter, which names the columns that there are.
    """
    if len(text) > _MOST_CHARS:
        raise BadFilter(f"a filter has at most {_MOST_CHARS:,} characters")
    if "\0" in text or (not text.isascii() and not _encodable(text)):
        raise BadFilter("a filter is text without zero bytes, in UTF-8")
    terms = parse_terms(text)
    if sum(1 + term.text.count(",") for term in terms) > _MOST_TERMS:
        raise BadFilter(f"a filter has at most {_MOST_TERMS} terms")
    compiler = _Compiler(table, types, now_ns, prefix)
    parts = [compiler.term(term) for term in terms]
    return Condition(" AND ".join(parts) or "TRUE", compiler.parameters or None)


def named_column(name: str, table: Table) -> Column:
    """The column that is meant by a label, a field or an unmistakable beginning of one.

    Raises BadFilter.
    """
    wanted = name.lower()
    found = table.column(wanted) or table.column(wanted.replace("_", " "))
    if found is not None:
        return found
    begun = [
        column
        for column in table.columns
        if column.key.startswith(wanted) or written(column).startswith(wanted)
    ]
    of_field = [column for column in table.columns if wanted in column.needs]
    if len(begun) == 1:
        return begun[0]
    if of_field:
        return of_field[0]
    labels = ", ".join(written(column) for column in begun or table.columns)
    if begun:
        raise BadFilter(f"{name!r} may be several columns of {table.label}", hint=labels)
    names = [*map(written, table.columns), *(column.key for column in table.columns)]
    near = get_close_matches(wanted, names, n=1)
    raise BadFilter(
        f"no column {printable(name)!r} in {table.label}"
        + (f"; did you mean {near[0]}?" if near else ""),
        hint=f'columns: {labels}; text with a colon goes in quotes: "{name}:..."',
    )


def written(column: Column) -> str:
    """A column's label as it is written in a filter."""
    return column.label.lower().replace(" ", "_")


def number_sql(column: Column) -> str:
    """SQL of the number that a column shows: of a share, the one divided by the other."""
    part = f'"{column.needs[0]}"'
    return f'{part} / nullif("{column.needs[1]}", 0)' if column.format is share_cell else part


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Compiler:
    def __init__(self, table: Table, types: Mapping[str, str], now_ns: int, prefix: str) -> None:
        self._table = table
        self._types = types
        self._now_ns = now_ns
        self._prefix = prefix
        self.parameters: dict[str, Any] = {}

    def term(self, term: Term) -> str:
        sql = self._anywhere(term) if term.field is None else self._in_column(term.field, term)
        return f"({sql}) IS NOT TRUE" if term.inverse else f"({sql})"

    def _anywhere(self, term: Term) -> str:
        fields = dict.fromkeys(name for column in self._table.columns for name in column.needs)
        parts = [
            self._text(name, term.text, exact=term.exact)
            for name in fields
            if self._kind(name) in _TEXTS
        ]
        whole = [name for name in fields if self._types.get(name) in ("BIGINT", "INTEGER")]
        return _any([*parts, *self._ids(whole, term.text)])

    def _in_column(self, field: str, term: Term) -> str:
        column = self._column(field)
        names = self._meant(column, field.lower())
        word = term.text.lower()
        if not term.exact and word in ("none", "any"):
            known = _any([f'"{name}" IS NOT NULL' for name in names])
            return known if word == "any" else f"NOT ({known})"
        parts = [self._field(name, term, column) for name in names]
        if self._kind(names[0]) in _TEXTS and not term.exact:
            others = [name for name in column.needs if self._kind(name) == "number"]
            parts += self._ids(others if len(names) > 1 or names[0] != field else [], term.text)
        return _any(parts)

    def _column(self, field: str) -> Column:
        """What is named; also a field of the view that no column shows."""
        try:
            return named_column(field, self._table)
        except BadFilter:
            name = field.lower()
            if name not in self._types:
                raise
            return Column(name, name, len(name), "")

    def _meant(self, column: Column, field: str) -> Sequence[str]:
        """The fields to look into: the one that was written, else the first, or all texts."""
        if field in column.needs and len(column.needs) > 1 and field != column.label.lower():
            return (field,)
        if self._kind(column.needs[0]) not in _TEXTS:
            return column.needs[:1]
        return [name for name in column.needs if self._kind(name) in _TEXTS]

    def _field(self, name: str, term: Term, column: Column) -> str:
        kind = self._kind(name)
        if kind in _TEXTS:
            choices = term.text.split(",") if "," in term.text else [term.text]
            return _any([self._text(name, each, exact=term.exact) for each in choices if each])
        if kind == "flag":
            if term.text.lower() not in _WORDS:
                raise BadFilter(
                    f"{column.label} is yes or no, not {term.text!r}",
                    hint=f"{written(column)}:yes or {written(column)}:no",
                )
            return f'"{name}" = {self._give(_WORDS[term.text.lower()])}'
        if kind == "time":
            return self._time(f'"{name}"', term.text, column)
        return self._number(name, term.text, column)

    def _text(self, name: str, text: str, *, exact: bool) -> str:
        """In what a column shows of a field: the items of a list stand with spaces between."""
        items = self._kind(name) == "texts"
        value = f"""array_to_string("{name}", ' ')""" if items else f'CAST("{name}" AS VARCHAR)'
        word = text.lower()
        if exact:
            given = self._give(word)
            alone = f"lower({value}) = {given}"
            item = f'list_contains(list_transform("{name}", lambda one: lower(one)), {given})'
            return f"{alone} OR {item}" if items else alone
        if "*" in word:
            like = re.sub(r"([%_\\])", r"\\\1", word).replace("*", "%")
            return f"lower({value}) LIKE {self._give(like)} ESCAPE '\\'"
        return f"contains(lower({value}), {self._give(word)})"

    def _ids(self, names: Sequence[str], text: str) -> list[str]:
        """Numbers by which people look for things, such as process ids."""
        if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
            return []
        return [f'"{name}" = {self._give(int(text))}' for name in names]

    def _number(self, name: str, text: str, column: Column) -> str:
        value, units = f'"{name}"', _PLAIN_UNITS
        if name.endswith("_ms"):
            units = _MS_UNITS
        elif name.endswith(("_share", "_rate")):
            units = _SHARE_UNITS
        elif text.endswith("%") and column.format is share_cell:
            value, units = number_sql(column), _SHARE_UNITS
        return self._within(value, text, lambda each: self._amount(each, units, column))

    def _within(self, value: str, text: str, one: Callable[[str], str]) -> str:
        """A range, a comparison, or any of several; `one` gives the SQL of a bound."""
        first, between, last = text.partition("..")
        if between:
            bounds = [f"{value} >= {one(first)}"] if first else []
            bounds += [f"{value} <= {one(last)}"] if last else []
            return " AND ".join(bounds) or f"{value} IS NOT NULL"
        compared = _COMPARED.fullmatch(text)
        if compared:
            return f"{value} {compared[1]} {one(compared[2])}"
        return _any([f"{value} = {one(each)}" for each in text.split(",") if each])

    def _amount(self, text: str, units: Mapping[str, float], column: Column) -> str:
        found = _NUMBER.fullmatch(text.strip())
        unit = found[2].lower() if found else ""
        if found is None or unit not in units:
            known = ", ".join(unit for unit in units if unit)
            raise BadFilter(
                f"{printable(text)!r} is no number for {column.label}",
                hint=f"write 5, >5, <=5 or 5..10; units: {known}",
            )
        return self._give(float(found[1].replace("_", "")) * units[unit])

    def _time(self, value: str, text: str, column: Column) -> str:
        """Moments, from which ages count back: alone, since then; `>` an age is longer ago."""
        compared = _COMPARED.fullmatch(text)
        if compared and _AGE.fullmatch(compared[2]):
            turned = compared[1].translate(str.maketrans("<>", "><"))
            return f"{value} {turned} {self._moment(compared[2], column)}"
        if compared or ".." in text:
            return self._within(value, text, lambda each: self._moment(each, column))
        return f"{value} >= {self._moment(text, column)}"

    def _moment(self, text: str, column: Column) -> str:
        try:
            moment_ns = parse_since(text, self._now_ns)
        except UnderglassError as error:
            raise BadFilter(f"{column.label}: {error}", hint=error.hint) from error
        return f"make_timestamptz({self._give(max(moment_ns, 0) // 1000)}::BIGINT)"

    def _kind(self, name: str) -> Kind:
        type_name = self._types.get(name, "VARCHAR")
        if type_name.startswith("TIMESTAMP"):
            return "time"
        if type_name == "BOOLEAN":
            return "flag"
        if type_name == "VARCHAR[]":
            return "texts"
        return "number" if _NUMERIC.fullmatch(type_name) else "text"

    def _give(self, value: Any) -> str:
        name = f"{self._prefix}{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def _any(parts: Sequence[str]) -> str:
    return " OR ".join(parts) or "FALSE"
