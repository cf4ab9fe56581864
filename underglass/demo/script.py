"""What the stand-in model says: scripts, as TOML files.

In: a script file (`scripts/*.toml` shipped beside this module, or any path).
Out: a `Script`, which `model_server` plays and the API modules render.

A script in short (every key is optional unless marked):

    name = "tools"
    select = "sequential"           # sequential | cycle | named, see Script.select
    model = "gpt-4o-mini"           # the model reported; default: the one requested
    models = ["gpt-4o-mini"]        # what GET /v1/models lists
    echo_pattern = 'id=([\\w.-]+)'   # where the token for {echo} stands in the last user message
    first_token_ms = 200            # delays, for turns that do not say their own
    token_ms = 5
    [rate_limits]                   # see RateLimits; sent under each API's own header names

    [[turn]]                        # required, at least one
    name = "list"                   # for select = "named"
    to = "Look into"                # only for conversations that open with such a text, see Script
    thinking = "Let me look."       # a text is cut into pieces of about `piece_chars` at spaces;
    text = ["one ", "two {echo}"]   # a list is sent as it is, one event an element
    repeat = 10                     # the pieces of `text`, this many times over
    finish = "stop"                 # stop | tool_calls | length | refusal; default by content
    cut_after_events = 4            # then the TCP connection is closed
    compress = "gzip"               # gzip | br | zstd, when the client accepts it
    headers = { x-extra = "1" }
    [turn.usage]                    # see TurnUsage: input_tokens includes cache reads and writes
    [[turn.tool]]                   # see ToolStep
    shell = "ls -la"                # a shell command, through whatever shell tool is offered
    [turn.error]                    # see ErrorStep
    status = 429
    retry_after_s = 1
    times = 1
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson

SCRIPTS = Path(__file__).with_name("scripts")
ECHO = "{echo}"

_FINISHES = ("stop", "tool_calls", "length", "refusal")
_SELECTS = ("sequential", "cycle", "named")
_CODINGS = ("gzip", "br", "zstd")


class ScriptError(ValueError):
    """A script file that cannot be played; the text says where and why."""


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """Tokens that a turn reports; `input_tokens` includes cache reads and writes."""

    input_tokens: int = 100
    output_tokens: int = 0  # 0: about a quarter of the characters sent, at least 1
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0  # the part of cache_write_tokens with the longer lifetime
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolStep:
    """A tool call to make: `name` and `arguments` (JSON text), or a `shell` command.

    A tool in a namespace of OpenAI's Responses API is called NAMESPACE/NAME.
    """

    name: str = ""
    arguments: str = "{}"
    shell: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorStep:
    """An error instead of the turn, or in the middle of its stream.

    `times` is how often one request body meets the error before it gets the turn (0: always).
    `after_events` puts the error into a 200 stream, after that many events.
    """

    status: int = 500
    type: str | None = None
    message: str = "scripted error"
    retry_after_s: float | None = None
    times: int = 0
    after_events: int | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Rate-limit response headers; `reset_s` is how far away the reset is said to be."""

    requests_limit: int = 4000
    requests_remaining: int = 3999
    tokens_limit: int = 400_000
    tokens_remaining: int = 399_000
    reset_s: int = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the model. `thinking` and `text` are pieces: one event each."""

    name: str = ""
    to: str = ""
    thinking: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    tools: tuple[ToolStep, ...] = ()
    usage: TurnUsage = TurnUsage()
    finish: str = "stop"
    error: ErrorStep | None = None
    cut_after_events: int | None = None
    compress: str | None = None
    first_token_ms: float = 0.0
    token_ms: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def echoes(self) -> bool:
        """Does any part of the answer hold the place of the echo token?"""
        return any(ECHO in piece for piece in (*self.text, *self.thinking)) or any(
            ECHO in (step.shell or step.arguments) for step in self.tools
        )

    def with_echo(self, token: str) -> Turn:
        """This turn with the token put in its place."""
        return replace(
            self,
            thinking=tuple(piece.replace(ECHO, token) for piece in self.thinking),
            text=tuple(piece.replace(ECHO, token) for piece in self.text),
            tools=tuple(
                replace(
                    step,
                    arguments=step.arguments.replace(ECHO, token),
                    shell=None if step.shell is None else step.shell.replace(ECHO, token),
                )
                for step in self.tools
            ),
        )


@dataclass(frozen=True, slots=True)
class Script:
    """An ordered list of turns and the rule that picks one for a request.

    `select`: `sequential` takes the turn numbered by the assistant's turns already in the
    request (the last one again when they run out), so that conversations are independent of
    connections and of each other; `cycle` goes round, one turn a request; `named` takes the
    turn that the last user message names as `turn=NAME`, else the first. Turns with a `to` are
    for conversations whose first messages contain that text, such as a sub-agent's; those of the
    first such text are counted by themselves, and the others are for everybody else.
    `toolless_text` answers a request that offers no tools when the turn would call one.
    """

    name: str
    turns: tuple[Turn, ...]
    select: str = "sequential"
    model: str | None = None
    models: tuple[str, ...] = ("claude-sonnet-4-6", "gpt-4o-mini")
    echo_pattern: re.Pattern[str] = field(default_factory=lambda: re.compile(r"id=([\w.-]+)"))
    rate_limits: RateLimits | None = None
    toolless_text: str = "A scripted conversation"

    def turn_index(
        self, turn_number: int, request_number: int, last_user_text: str, opening: str = ""
    ) -> int:
        """The index of the turn for a request, see `select`; `opening`: its first messages."""
        to = next((turn.to for turn in self.turns if turn.to and turn.to in opening), "")
        meant = [index for index, turn in enumerate(self.turns) if turn.to == to]
        if not meant:
            return 0
        if self.select == "cycle":
            return meant[request_number % len(meant)]
        if self.select == "named":
            named = re.search(r"turn=([\w-]+)", last_user_text)
            return next((n for n in meant if named and self.turns[n].name == named[1]), meant[0])
        return meant[min(turn_number, len(meant) - 1)]

    def echo_token(self, last_user_text: str) -> str | None:
        """The token that the last user message asks to see again."""
        found = self.echo_pattern.search(last_user_text)
        return found[1] if found else None


def script_path(name: str | Path) -> Path:
    """The file of a script given by path, or by the name of one that is shipped."""
    shipped = SCRIPTS / f"{name}.toml"
    return shipped if shipped.is_file() else Path(name)


def load_script(name: str | Path, *, latency_scale: float = 1.0) -> Script:
    """Read a script by name or path; `latency_scale` multiplies its delays (0: none)."""
    path = script_path(name)
    try:
        return parse_script(path.read_text(), path.stem, latency_scale=latency_scale)
    except OSError as error:
        names = ", ".join(sorted(shipped.stem for shipped in SCRIPTS.glob("*.toml")))
        raise ScriptError(f"no script {str(name)!r}; give a path or one of: {names}") from error


def parse_script(text: str, name: str = "script", *, latency_scale: float = 1.0) -> Script:
    """Read a script from TOML text."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(f"{name}: {error}") from error
    turns = table.pop("turn", [])
    defaults = {key: table.pop(key, 0) for key in ("first_token_ms", "token_ms")}
    table = {"name": name, **table, "turns": ()}
    if "echo_pattern" in table:
        table["echo_pattern"] = re.compile(table["echo_pattern"])
    if "rate_limits" in table:
        table["rate_limits"] = _record(RateLimits, table["rate_limits"], f"{name}.rate_limits")
    if "models" in table:
        table["models"] = tuple(table["models"])
    script = _record(Script, table, name)
    if script.select not in _SELECTS:
        raise ScriptError(f"{name}: select is one of {', '.join(_SELECTS)}")
    if not turns:
        raise ScriptError(f"{name}: at least one [[turn]] is needed")
    return replace(
        script,
        turns=tuple(
            _turn({**defaults, **turn}, f"{name}.turn[{index}]", latency_scale)
            for index, turn in enumerate(turns)
        ),
    )


def _turn(table: dict[str, Any], where: str, latency_scale: float) -> Turn:
    piece_chars = table.pop("piece_chars", 16)
    repeat = table.pop("repeat", 1)
    for key in ("thinking", "text"):
        value = table.get(key, "")
        table[key] = tuple(_pieces(value, piece_chars) if isinstance(value, str) else value)
    table["text"] *= repeat
    table["tools"] = tuple(
        _tool(tool, f"{where}.tool[{index}]") for index, tool in enumerate(table.pop("tool", ()))
    )
    table["headers"] = tuple(table.get("headers", {}).items())
    if "error" in table:
        table["error"] = _record(ErrorStep, table["error"], f"{where}.error")
    usage = _record(TurnUsage, table.get("usage", {}), f"{where}.usage")
    if not usage.output_tokens:
        chars = sum(map(len, (*table["thinking"], *table["text"])))
        chars += sum(len(step.shell or step.arguments) for step in table["tools"])
        usage = replace(usage, output_tokens=max(1, chars // 4))
    if usage.cache_read_tokens + usage.cache_write_tokens > usage.input_tokens:
        raise ScriptError(f"{where}.usage: input_tokens includes cache reads and writes")
    if usage.cache_write_1h_tokens > usage.cache_write_tokens:
        raise ScriptError(f"{where}.usage: cache_write_tokens includes cache_write_1h_tokens")
    table["usage"] = usage
    table.setdefault("finish", "tool_calls" if table["tools"] else "stop")
    for key in ("first_token_ms", "token_ms"):
        table[key] = table[key] * latency_scale
    turn = _record(Turn, table, where)
    if turn.finish not in _FINISHES:
        raise ScriptError(f"{where}: finish is one of {', '.join(_FINISHES)}")
    if turn.compress is not None and turn.compress not in _CODINGS:
        raise ScriptError(f"{where}: compress is one of {', '.join(_CODINGS)}")
    return turn


def _tool(table: dict[str, Any], where: str) -> ToolStep:
    if "arguments" in table:
        table["arguments"] = orjson.dumps(table["arguments"]).decode()
    step = _record(ToolStep, table, where)
    if bool(step.name) == (step.shell is not None):
        raise ScriptError(f"{where}: give either name (and arguments) or shell")
    return step


def _pieces(text: str, piece_chars: int) -> list[str]:
    """Text cut at spaces into pieces of about `piece_chars`, which join to the text again."""
    pieces: list[str] = []
    piece = ""
    for word in re.findall(r"\s*\S+|\s+$", text):
        piece += word
        if len(piece) >= piece_chars:
            pieces.append(piece)
            piece = ""
    return [*pieces, piece] if piece else pieces


_T = TypeVar("_T")


def _record(kind: type[_T], table: Mapping[str, Any], where: str) -> _T:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(table) - known):
        raise ScriptError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    return kind(**table)
