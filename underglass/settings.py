"""Every setting, declared once: what the configuration file may say, and what it means.

In: nothing. Out: `SETTINGS`, which `underglass.config` reads files and variables by, the command
line takes its defaults from, and `underglass config`, its example and docs/config.md show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "path",  # a file; relative to the file that names it, ~ is the user's home
    "text",
    "flag",
    "count",  # a whole number, at least 1
    "number",  # greater than 0
    "size",  # bytes: 1048576, "500M", "2G"
    "since",  # "10m", "2h", "7d" or an ISO 8601 time
    "choice",
    "commands",  # a text, or a list of texts
    "keys",  # a table: action = "key"
    "limit",  # a number greater than 0, or false for none
]

EXPECTED: dict[Kind, str] = {
    "path": "a file name in quotes",
    "text": "a text in quotes",
    "flag": "true or false",
    "count": "a whole number from 1 on",
    "number": "a number greater than 0",
    "size": 'a size: "500M", "2G" or a number of bytes',
    "since": 'a duration ("10m", "2h", "7d") or a time ("2025-01-31")',
    "choice": "one of ",
    "commands": "a text in quotes, or a list of them",
    "keys": 'a table of texts: action = "key"',
    "limit": "a number greater than 0, or false for no limit",
}

LISTS = (
    *("sessions", "calls", "tools", "rpc", "requests", "processes", "files", "connections"),
    *("agents", "findings", "loops", "escalations", "conflicts"),
)
"""The commands that list one table."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `key` is `section.name` or a name; `default` None is told by `otherwise`.

    `parameter` is the command-line parameter that takes it as its default, of the command names
    `only`, or of all but `never`; a parameter of the opposite meaning is `inverted`. `flag` is how
    users write it. A `secret` value may hold credentials and is shown in part.
    """

    key: str
    kind: Kind
    about: str
    default: Any = None
    otherwise: str = ""
    unit: str | None = None
    variable: str | None = None
    flag: str | None = None
    parameter: str | None = None
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    inverted: bool = False
    choices: tuple[str, ...] = ()
    example: Any = None
    secret: bool = False

    @property
    def section(self) -> str:
        """The table of the file that it stands in; empty for none."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its key within its section."""
        return self.key.rpartition(".")[2]

    @property
    def expected(self) -> str:
        """What a value must be, for people."""
        return EXPECTED[self.kind] + (", ".join(self.choices) if self.kind == "choice" else "")

    def sets(self, command: str, parameter: str) -> bool:
        """Whether it is the default of that parameter of that command."""
        if parameter != self.parameter or command in self.never:
            return False
        return not self.only or command in self.only


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "db", "path", "The store to write and to read.",
        otherwise="underglass/underglass.db in the XDG state directory",
        variable="UNDERGLASS_DB", flag="--db", parameter="db", never=("demo", "serve"),
        example="~/agents.db",
    ),
    Setting(
        "prices", "path", "Your own prices of models (TOML).",
        otherwise="prices.toml beside the user's config.toml, if it is there",
        variable="UNDERGLASS_PRICES", flag="--prices", parameter="prices",
        example="prices.toml",
    ),
    Setting(
        "time_zone", "choice", "The zone of the times in tables; JSON is always UTC.",
        "local", choices=("local", "utc"), variable="UNDERGLASS_TIME_ZONE",
    ),
    Setting(
        "no_color", "flag", "No colours, also on a terminal.", False, variable="NO_COLOR",
    ),
    Setting(
        "capture.content", "flag", "Store what was said: messages, tool arguments, results.",
        True, variable="UNDERGLASS_CONTENT", flag="--no-content", parameter="no_content",
        inverted=True,
    ),
    Setting(
        "capture.freeze", "flag",
        "Stop a program or library that was never seen before until it is hooked.",
        False, variable="UNDERGLASS_FREEZE", flag="--freeze", parameter="freeze",
    ),
    Setting(
        "capture.keep_raw", "flag",
        "Keep the captured plaintext beside the store, to decode it again later.",
        False, variable="UNDERGLASS_KEEP_RAW", flag="--keep-raw", parameter="keep_raw",
    ),
    Setting(
        "capture.raw_limit", "size", "Of the captured plaintext, keep at most so much a capture.",
        "1G", variable="UNDERGLASS_RAW_LIMIT", flag="--raw-limit",
        parameter="raw_limit_bytes",
    ),
    Setting(
        "capture.ring_kib", "count",
        "The kernel's buffer for captured bytes; a power of two.",
        otherwise="32768", unit="KiB", variable="UNDERGLASS_RING_KIB", example=65536,
    ),
    Setting(
        "alerts.file", "path", "Write findings there when they are found, one JSON object a line.",
        otherwise="nowhere", variable="UNDERGLASS_ALERTS", flag="--alerts", parameter="alerts",
        example="~/findings.jsonl",
    ),
    Setting(
        "alerts.on_finding", "commands",
        "Run a shell command for each finding, or post it to a URL.",
        otherwise="nothing", variable="UNDERGLASS_ON_FINDING", flag="--on-finding",
        parameter="on_finding", example="notify-send \"$UNDERGLASS_TITLE\"", secret=True,
    ),
    Setting(
        "alerts.on_severity", "choice", "The least severity that on_finding is told of.",
        "info", choices=("info", "warning", "critical"), variable="UNDERGLASS_ON_SEVERITY",
        flag="--on-severity", parameter="on_severity",
    ),
    Setting(
        "serve.db", "path", "The service's store.",
        otherwise="/var/lib/underglass/underglass.db",
        variable="UNDERGLASS_SERVE_DB", flag="--db", parameter="db", only=("serve",),
        example="/var/lib/underglass/underglass.db",
    ),
    Setting(
        "serve.socket", "path", "Where the service answers queries.",
        otherwise="/run/underglass/query.sock, which readers look for",
        variable="UNDERGLASS_SOCKET", flag="--socket",
        example="/run/underglass/query.sock",
    ),
    Setting(
        "serve.group", "text", "The group whose members may ask the service.",
        otherwise="the group `underglass` if there is one, else only the service's user",
        variable="UNDERGLASS_GROUP", flag="--group", parameter="group", only=("serve",),
        example="underglass",
    ),
    Setting(
        "serve.user", "text", "Who the service becomes; its probes stay root's.",
        otherwise="the user `underglass` if there is one, else the invoking user",
        variable="UNDERGLASS_USER", flag="--user", parameter="user", only=("serve",),
        example="underglass",
    ),
    Setting(
        "limits.steps", "limit", "Tool calls since the user said something: more is a runaway.",
        250, variable="UNDERGLASS_LIMITS_STEPS",
    ),
    Setting(
        "limits.active_s", "limit",
        "Time at work since the user said something; a pause counts up to 15 minutes.",
        7200.0, unit="seconds", variable="UNDERGLASS_LIMITS_ACTIVE_S",
    ),
    Setting(
        "limits.cost_usd", "limit", "Cost since the user said something.",
        10.0, unit="US dollars", variable="UNDERGLASS_LIMITS_COST_USD",
    ),
    Setting(
        "limits.calls_after_done", "count",
        "Calls that ask for tools after the agent said that it was done.",
        3, variable="UNDERGLASS_LIMITS_CALLS_AFTER_DONE",
    ),
    Setting(
        "limits.steps_after_solved", "count",
        "Tool calls after its tests passed again and again.",
        20, variable="UNDERGLASS_LIMITS_STEPS_AFTER_SOLVED",
    ),
    Setting(
        "lists.limit", "count", "Rows that commands that list print for people at most.",
        otherwise="as each command says", variable="UNDERGLASS_LIMIT", flag="--limit",
        parameter="limit", only=LISTS, example=200,
    ),
    Setting(
        "lists.since", "since", "Commands that list begin there.",
        otherwise="from the beginning", variable="UNDERGLASS_SINCE", flag="--since",
        parameter="since", only=LISTS, example="7d",
    ),
    Setting(
        "top.theme", "text", "The dashboard's colours: a theme's name, as its palette lists them.",
        otherwise="the dashboard's own", variable="UNDERGLASS_THEME", flag="--theme",
        parameter="theme", example="nord",
    ),
    Setting(
        "top.refresh_s", "number", "How often the dashboard looks at the store.",
        0.4, unit="seconds", variable="UNDERGLASS_REFRESH_S", flag="--refresh",
        parameter="refresh_s",
    ),
    Setting(
        "top.view", "choice", "The view that the dashboard starts with.",
        "overview",
        choices=("overview", "calls", "tools", "findings", "activity", "timeline", "context",
                 "models", "health"),
        variable="UNDERGLASS_VIEW", flag="--view", parameter="view",
    ),
    Setting(
        "top.export_dir", "path", "Where the dashboard writes what it exports.",
        otherwise="the working directory", variable="UNDERGLASS_EXPORT_DIR", example="~/exports",
    ),
    Setting(
        "top.keys", "keys", "Other keys for the dashboard's actions; `?` in it names both.",
        otherwise="the dashboard's own", example={"view_calls": "c"},
    ),
)  # fmt: skip

BY_KEY = {setting.key: setting for setting in SETTINGS}
SECTIONS = {
    "": "",
    "capture": "What run, attach, serve and record keep.",
    "alerts": "Who is told of findings, while a capture runs.",
    "serve": "The service.",
    "limits": "When a session counts as a runaway.",
    "lists": "Defaults of commands that list.",
    "top": "The dashboard.",
}
"""The tables of the file, in the order of the example, and what each is about."""
