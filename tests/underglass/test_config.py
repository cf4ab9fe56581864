"""The configuration: every setting has effect, the order holds, and mistakes are told."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector.rows import Batch
from collector.store import Store
from probes.errors import UnderglassError
from tests.collector.store_rows import START_NS, call
from tests.conftest import ROOT
from underglass import config, config_text
from underglass.cli import underglass
from underglass.limits import runaway_limits
from underglass.prices import price_file
from underglass.service import service_socket
from underglass.settings import BY_KEY, SETTINGS
from underglass.summary import Summary
from underglass.watching import Watch, _ring_pages


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing configured but what the test says."""
    for name in [name for name in os.environ if name.startswith("UNDERGLASS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "etc.toml")
    (tmp_path / "xdg" / "underglass").mkdir(parents=True)
    return tmp_path


@pytest.fixture(autouse=True)
def clocks() -> Iterator[None]:
    from analysis import cells

    yield
    cells.show_times_in(None)
    os.environ.pop("TZ", None)
    time.tzset()


def configure(home: Path, text: str) -> Path:
    path = home / "xdg" / "underglass" / "config.toml"
    path.write_text(text)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(underglass, arguments, color=True)


def said(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


# What each setting changes. A line is: what to write, what is seen then.

Seen = Callable[[], Any]


class Seeing:
    """What commands would do, of those that watch or draw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self.home = home
        self.done: Any = None
        for name in ("run", "record"):
            monkeypatch.setattr(f"underglass.commands.{name}.watch", self._watch)
        monkeypatch.setattr("underglass.watching.watch", self._watch)
        monkeypatch.setattr("probes.client.need_root", lambda: None)
        for name in ("prepare_state", "prepare_runtime"):
            monkeypatch.setattr(f"underglass.serving.{name}", lambda *_: None)
        monkeypatch.setattr("underglass.serving.service_user", self._named("user"))
        monkeypatch.setattr("underglass.serving.service_group", self._named("group"))
        self.names: dict[str, Any] = {}

    def _named(self, what: str) -> Callable[[Any], Any]:
        def note(name: Any) -> Any:
            self.names[what] = name

        return note

    def _watch(self, what: Watch) -> Summary:
        self.done = what
        return Summary()

    def watch(self, name: str, *options: str) -> Any:
        """A field of what `run` would watch."""
        result = run("run", *options, "--", "true")
        assert result.exception is None, (result.output, result.exception)
        return getattr(self.done, name)

    def serve(self, name: str) -> Any:
        result = run("serve")
        assert result.exception is None, (result.output, result.exception)
        return self.names[name] if name in self.names else getattr(self.done, name)


def test_every_setting_has_effect(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeing = Seeing(monkeypatch, home)
    store = home / "there.db"
    with Store.open(store) as opened:
        opened.write(Batch(calls=[call(call_id=f"call{n}", started_ns=START_NS + n * 3_600 * 10**9)
                                  for n in range(3)]))  # fmt: skip

    def listed(*options: str) -> list[str]:
        return [row["call_id"] for row in json.loads(said("calls", "--db", str(store), "--json",
                                                           *options))]  # fmt: skip

    def table() -> str:
        return said("calls", "--db", str(store))

    from underglass.top_settings import top_settings

    watch, serve = seeing.watch, seeing.serve
    effects: dict[str, tuple[Any, Seen, Any]] = {
        "db": ("x.db", lambda: watch("store"), home / "xdg/underglass/x.db"),
        "prices": ("~/p.toml", lambda: price_file(None), Path.home() / "p.toml"),
        "time_zone": ("utc", lambda: "08:53:20" in table(), True),
        "no_color": (True, lambda: "\x1b[" in table(), False),
        "capture.content": (False, lambda: watch("content"), False),
        "capture.freeze": (True, lambda: watch("freeze"), True),
        "capture.keep_raw": (True, lambda: watch("raw_limit_bytes"), 1 << 30),
        "capture.raw_limit": ("2M", lambda: watch("raw_limit_bytes", "--keep-raw"), 2 << 20),
        "capture.ring_kib": (64, _ring_pages, 64 * 1024 // os.sysconf("SC_PAGESIZE")),
        "alerts.file": ("-", lambda: str(watch("alerts")), "-"),
        "alerts.on_finding": (
            ["true", "false"], lambda: watch("on_finding").targets, ("true", "false"),
        ),
        "alerts.on_severity": (
            "critical", lambda: watch("on_finding", "--on-finding", "true").severity, "critical",
        ),
        "serve.db": ("/s.db", lambda: serve("store"), Path("/s.db")),
        "serve.socket": ("/run/x/y.sock", service_socket, Path("/run/x/y.sock")),
        "serve.group": ("wheel", lambda: serve("group"), "wheel"),
        "serve.user": ("nobody", lambda: serve("user"), "nobody"),
        "limits.steps": (7, lambda: runaway_limits().steps, 7),
        "limits.active_s": (8, lambda: runaway_limits().active_s, 8.0),
        "limits.cost_usd": (False, lambda: runaway_limits().cost_usd, None),
        "limits.calls_after_done": (9, lambda: runaway_limits().calls_after_done, 9),
        "limits.steps_after_solved": (10, lambda: runaway_limits().steps_after_solved, 10),
        "lists.limit": (1, lambda: table().count("claude-sonnet"), 1),
        "lists.since": ("2025-10-09T10:00:00Z", listed, ["call2"]),
        "top.theme": ("nord", lambda: _top(home, monkeypatch)["settings"].theme, "nord"),
        "top.refresh_s": (2, lambda: _top(home, monkeypatch)["settings"].interval_s, 2.0),
        "top.view": ("health", lambda: _top(home, monkeypatch)["first"], "health"),
        "top.export_dir": (
            "/e", lambda: top_settings(None, None).export_dir, Path("/e"),
        ),
        "top.keys": (
            {"view_calls": "c"}, lambda: top_settings(None, None).keys, {"view_calls": "c"},
        ),
    }  # fmt: skip
    assert list(effects) == [setting.key for setting in SETTINGS]
    for key, (value, seen, expected) in effects.items():
        setting = BY_KEY[key]
        configure(home, "")
        _reset(monkeypatch)
        before = seen() if key not in ("alerts.on_finding",) else None
        configure(home, f"{key} = {config_text.toml_value(value)}")
        assert seen() == expected, key
        assert before != expected, key
        if setting.variable and setting.kind != "keys":
            configure(home, "")
            _reset(monkeypatch)
            text = value if isinstance(value, str) else "1" if value is True else str(value)
            monkeypatch.setenv(setting.variable, text if key != "alerts.on_finding" else "true")
            by_variable = seen()
            monkeypatch.delenv(setting.variable)
            if key not in ("db", "alerts.on_finding", "prices"):
                assert by_variable == expected, key
            assert by_variable != before, key


def _reset(monkeypatch: pytest.MonkeyPatch) -> None:
    from analysis import cells

    cells.show_times_in(None)
    monkeypatch.delenv("NO_COLOR", raising=False)


def _top(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `underglass top` gives the dashboard."""
    given: dict[str, Any] = {}

    class App:
        return_code = 0

        def __init__(self, _place: Any, **more: Any) -> None:
            given.update(more)

        def run(self) -> None: ...

    monkeypatch.setattr("tui.app.UnderglassApp", App)
    monkeypatch.setattr("underglass.commands.top.sys", _Terminal)
    said("top", str(home / "there.db"))
    return given


class _Terminal:
    class stdin:  # noqa: N801
        isatty = staticmethod(lambda: True)

    stdout = stderr = stdin


def test_a_flag_goes_before_a_variable_before_the_user_before_the_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeing = Seeing(monkeypatch, home)
    assert seeing.watch("freeze") is False
    (home / "etc.toml").write_text("capture.freeze = true\nlimits.steps = 1")
    assert seeing.watch("freeze") is True
    assert config.Configuration()["limits.steps"].where == f"{home}/etc.toml:2"
    (home / "xdg" / "underglass" / "limits.toml").write_text("steps = 2")
    assert runaway_limits().steps == 2
    configure(home, "[capture]\nfreeze = false\n[limits]\nsteps = 3")
    assert seeing.watch("freeze") is False
    assert runaway_limits().steps == 3
    monkeypatch.setenv("UNDERGLASS_FREEZE", "yes")
    assert seeing.watch("freeze") is True
    assert seeing.watch("freeze", "--no-freeze") is False
    monkeypatch.setenv("UNDERGLASS_LIMITS", str(home / "l.toml"))
    (home / "l.toml").write_text("steps = 4")
    assert runaway_limits().steps == 4
    monkeypatch.setenv("UNDERGLASS_LIMITS_STEPS", "5")
    assert runaway_limits().steps == 5
    # What is asked for now goes before what was asked once and for all.
    configure(home, "[capture]\nkeep_raw = true\ncontent = false\nraw_limit = '3M'")
    assert run("run", "--", "true").exception is not None  # these two exclude each other
    assert seeing.watch("raw_limit_bytes", "--content") == 3 << 20
    configure(home, "[capture]\nkeep_raw = true")
    assert seeing.watch("raw_limit_bytes", "--no-content") is None
    assert seeing.watch("raw_limit_bytes", "--no-keep-raw") is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[limits]\nstep = 3", "config.toml:2: there is no setting 'limits.step'; did you mean "
         "limits.steps?", "[limits]"),
        ("frezee = true", "there is no setting 'frezee'; did you mean capture.freeze?",
         "in [capture]"),
        ("[lists]\nqqqqqq = 1", "'lists.qqqqqq'", "[lists] knows: limit, since"),
        ("\n\n[capture]\n  content = 'no'", "config.toml:4: capture.content is 'no', but must be "
         "true or false", "underglass config capture.content"),
        ("capture = 1", "config.toml:1: capture is a table", "[capture]"),
        ("limits.steps = 0", "must be a number greater than 0, or false", ""),
        ("limits.calls_after_done = false", "must be a whole number", ""),
        ("capture.raw_limit = 'big'", "must be a size", ""),
        ("lists.since = 'yesterday-ish'", "must be a duration", ""),
        ("top.view = 'cals'", "must be one of overview, calls", ""),
        ("top.keys = { a = 1 }", "must be a table of texts", ""),
        ("alerts.on_finding = [1]", "alerts.on_finding is a value, but must be a text", ""),
        ("db = ''", "must be a file name", ""),
        ("x = ?\ny = 1", "not TOML: Invalid value (at line 1, column 5)", "--example"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_what_is_right(
    home: Path, text: str, message: str, hint: str
) -> None:
    configure(home, text)
    with pytest.raises(config.BadConfig) as refused:
        config.Configuration()
    assert message in str(refused.value)
    assert hint in str(refused.value.hint)
    assert refused.value.exit_code == 2
    assert run("calls").exception is not None
    for harmless in (["calls", "--help"], ["config", "--example"], ["config", "--path"]):
        assert run(*harmless).exit_code == 0


def test_a_file_that_cannot_be_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo = home / "fifo"
    os.mkfifo(fifo)
    for path, why in ((home, "directory"), (fifo, "no file"), (home / "none", "No such file")):
        monkeypatch.setenv("UNDERGLASS_CONFIG", str(path))
        with pytest.raises(config.BadConfig, match=why):
            config.Configuration()
    (home / "latin").write_bytes(b"# caf\xe9")
    monkeypatch.setenv("UNDERGLASS_CONFIG", str(home / "latin"))
    with pytest.raises(config.BadConfig, match="not UTF-8 at byte 5"):
        config.Configuration()
    monkeypatch.delenv("UNDERGLASS_CONFIG")
    monkeypatch.setenv("UNDERGLASS_FREEZE", "perhaps")
    with pytest.raises(config.BadConfig, match=r"\$UNDERGLASS_FREEZE: capture.freeze is 'perhaps'"):
        config.value("capture.freeze")


def test_the_command_shows_values_origins_and_meanings(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = configure(home, '[limits]\nsteps = 12\n[alerts]\non_finding = "https://x.org/s3cret"')
    monkeypatch.setenv("UNDERGLASS_FREEZE", "1")
    table = said("config")
    assert "s3cret" not in table
    assert [line.split()[0] for line in table.splitlines()[1:]] == list(BY_KEY)
    shown = {one["key"]: one for one in json.loads(said("config", "--json"))}
    assert set(shown) == set(BY_KEY)
    assert (shown["limits.steps"]["value"], shown["limits.steps"]["where"]) == (12, f"{path}:2")
    assert shown["capture.freeze"]["where"] == "$UNDERGLASS_FREEZE"
    assert shown["no_color"]["origin"] == "default"
    assert said("config", "limits.steps") == "12\n"
    assert said("config", "alerts.on_finding") == "https://x.org/s3cret\n"
    assert said("config", "--path") == f"{path}\n"
    wrong = run("config", "limit.steps")
    assert isinstance(wrong.exception, UnderglassError)
    assert "did you mean limits.steps?" in str(wrong.exception)


def test_the_example_is_complete_and_right(home: Path) -> None:
    text = said("config", "--example")
    configure(home, text)
    assert all(one.origin == "default" for one in config.Configuration().everything())
    live = "\n".join(line.removeprefix("# ") if " = " in line else line
                     for line in text.splitlines())  # fmt: skip
    configure(home, live)
    assert {one.setting.key for one in config.Configuration().everything()
            if one.origin == "file"} == set(BY_KEY)  # fmt: skip
    assert max(map(len, text.splitlines())) <= 100


def test_the_documentation_is_what_is_declared() -> None:
    """To write it anew: python -m underglass.config_text docs/config.md"""
    written = (ROOT / "docs" / "config.md").read_text()
    assert config_text.reference() in written
