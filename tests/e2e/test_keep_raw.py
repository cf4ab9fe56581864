"""Raw data kept by a real capture, decoded again."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collector.captures import tables_of
from tests.e2e.conftest import UNDERGLASS, Watched, assert_equals_ledger, environment, python
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
SCRIPT = "tools"


def redecoded(store: Path, server: StandIn, *arguments: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [UNDERGLASS, "redecode", *arguments, "--db", store, "--json"],
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_a_kept_capture_decodes_to_the_same_rows(
    standin: Callable[..., StandIn], watched: Callable[..., Watched]
) -> None:
    server = standin(SCRIPT, latency_scale=0)
    result = watched(server, python("openai_sync.py", "6"), options=["--keep-raw"])
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=24))
    [capture] = result.rows("SELECT * FROM captures")
    raw = Path(capture["raw_path"])
    assert raw.parent == result.store.with_name("store.db.raw")
    assert (capture["raw_state"], capture["raw_bytes"]) == ("whole", raw.stat().st_size)
    assert stat.S_IMODE(raw.stat().st_mode) == 0o600
    assert str(raw) in result.stderr
    before = tables_of(result.store)
    for arguments in (["--all"], [capture["capture_id"]], [str(raw)]):
        [told] = redecoded(result.store, server, *arguments)
        assert (told["calls_before"], told["calls_after"]) == (24, 24)
        assert (told["added"], told["gone"], told["kept"], told["damage"]) == ({}, 0, 0, None)
        changed = ("models", "usage", "cost", "otherwise")
        assert [told[f"changed_{what}"] for what in changed] == [0, 0, 0, 0]
        assert tables_of(result.store) == before
    assert_equals_ledger(result, server.ledger(at_least=24))


def test_the_limit_ends_the_raw_data_and_not_the_capture(
    standin: Callable[..., StandIn], watched: Callable[..., Watched]
) -> None:
    server = standin("zero_latency")
    options = ["--keep-raw", "--raw-limit", "40K"]
    result = watched(server, python("openai_sync.py", "30"), options=options)
    assert result.exit_code == 0, result.stderr
    assert len(result.calls) == len(server.ledger(at_least=120)) == 120
    [capture] = result.rows("SELECT * FROM captures")
    assert capture["raw_state"] == "size_limit"
    assert capture["raw_bytes"] <= 40 << 10
    assert "not whole" in result.stderr
    assert result.health("raw_data", "unkept_bytes") > 0
    before = result.calls
    [told] = redecoded(result.store, server, "--all")
    assert (told["covers_all"], told["gone"], told["calls_after"]) == (False, 0, 120)
    assert result.calls == before


def test_attach_keeps_raw_data_too(standin: Callable[..., StandIn], tmp_path: Path) -> None:
    server = standin("zero_latency")
    store = tmp_path / "attached.db"
    command = [str(UNDERGLASS), "attach", "--name", "nothing-of-that-name", "--for", "0.5"]
    done = subprocess.run(
        [*command, "--keep-raw", "--db", str(store)],
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    before = tables_of(store)
    [told] = redecoded(store, server, "--all")
    assert told["covers_all"]
    assert tables_of(store) == before
