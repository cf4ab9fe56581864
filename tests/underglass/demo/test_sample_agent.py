from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import underglass.demo
from underglass.demo.standin import StandIn

AGENT = Path(underglass.demo.__file__).with_name("sample_agent.py")


def run_agent(server: StandIn, directory: Path) -> subprocess.CompletedProcess[str]:
    directory.mkdir()
    return subprocess.run(
        [sys.executable, str(AGENT), "Repair the price check"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **server.environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_demo_story_from_end_to_end(tmp_path: Path) -> None:
    with StandIn("demo", tmp_path / "server", latency_scale=0) as server:
        done = run_agent(server, tmp_path / "work")
        records = server.ledger(at_least=11)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("AssertionError: books: 7.0") == 3
    assert "Permission to use bash with command rm -rf shop has been denied." in done.stdout
    assert "all prices are right" in done.stdout
    assert "rate limited: waiting 1 s" in done.stderr
    assert "1 + RATES[kind]" in (tmp_path / "work/shop/prices.py").read_text()
    assert len(records) == 11
    assert [record.status for record in records] == [200] * 6 + [429] + [200] * 4
    assert len({record.connection for record in records}) == 1
    assert [record.turn for record in records] == [0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9]
    assert records[-1].finish_reason == "end_turn"
    made = [call.tool_call_id for record in records for call in record.tool_calls]
    assert records[-1].tool_result_ids == tuple(made)
    assert len(made) == len(set(made)) == 10
    calls = [record.usage for record in records if record.usage is not None]
    assert [usage.input_tokens for usage in calls] == sorted(u.input_tokens or 0 for u in calls)


def test_an_http_error_ends_the_agent(tmp_path: Path) -> None:
    script = tmp_path / "broken.toml"
    script.write_text('[[turn]]\nerror = { status = 500, message = "on fire" }\n')
    with StandIn(script, tmp_path / "server", plain=True) as server:
        done = run_agent(server, tmp_path / "work")
    assert done.returncode == 1
    assert "HTTP 500" in done.stderr
    assert "on fire" in done.stderr
