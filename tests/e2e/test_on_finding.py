"""A loop under real probes: it is told to a command and a URL, followed live, and nothing of the
telling is captured."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import UNDERGLASS, Watched, environment, lines_of, python, wait_for
from tests.e2e.watching import while_attached
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
ROUNDS = 5
TURN = '[[turn]]\n[[turn.tool]]\nname = "search"\narguments = { query = "weather" }\n'


def test_a_loop_on_the_whole_host_is_told_and_followed(
    standin: Callable[..., StandIn], tmp_path: Path
) -> None:
    script, log, told = (tmp_path / name for name in ("case.toml", "log", "told"))
    script.write_text(TURN * ROUNDS + '[[turn]]\ntext = "I give up."\n')
    server = standin(script)
    store = tmp_path / "store.db"
    posted: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    hook = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{hook.server_port}/"
    agents: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        agents.append(
            subprocess.Popen(
                python("tool_agent.py", str(log), str(tmp_path / "none")), env=environment(server)
            )
        )
        assert agents[0].wait(60) == 0
        wait_for(lambda: bool(lines_of(told)) and bool(posted), "both are told while it goes on")

    options = [
        *("--all", "--on-severity", "warning", "--on-finding", url),
        *("--on-finding", f"sleep 0.01; cat >> {told}; exec {sys.executable} -c pass"),
    ]
    with open(tmp_path / "followed", "wb") as followed:
        follower = subprocess.Popen(
            [UNDERGLASS, "follow", "--json", "--db", store], stdout=followed
        )
        try:
            code, said = while_attached(store, options, work)
            assert code == 0, said
            watched = Watched(store, 0, "", "")
            pid = agents[0].pid
            calls = [call["call_id"] for call in watched.calls if call["pid"] == pid]
            assert len(calls) == len(server.ledger(at_least=ROUNDS + 1)) == ROUNDS + 1

            def all_followed() -> bool:
                return sum(e == "call_ended" for e, key in events() if key in calls) >= len(calls)

            def events() -> list[tuple[str, str]]:
                lines = map(json.loads, lines_of(tmp_path / "followed"))
                return [(each["event"], each.get("call_id")) for each in lines]

            wait_for(all_followed, "the follower has all calls")
        finally:
            follower.terminate()
            follower.wait()
            hook.shutdown()
            hook.server_close()
    mine = Counter((event, key) for event, key in events() if key in calls)
    assert {event for event, _ in mine} == {"call_started", "call_ended", "tool", "tool_result"}
    assert set(mine.values()) == {1}
    assert Counter(event for event, _ in mine) == {
        "call_started": ROUNDS + 1,
        "call_ended": ROUNDS + 1,
        "tool": ROUNDS,
        "tool_result": ROUNDS,
    }
    repeats = [json.loads(each) for each in lines_of(told)]
    assert "error_repeat" in {each["kind"] for each in repeats if each["session_id"]}
    assert any(each["kind"] == "error_repeat" for each in posted)
    # Nothing of the telling was captured: neither the commands nor the connection.
    started = watched.rows("SELECT argv FROM processes")
    assert not [row for row in started if str(told) in " ".join(row["argv"])]
    assert not [row for row in started if row["argv"][:1] == ["/bin/sh"] and "/dev/fd/" in str(row)]
    ports = {row["port"] for row in watched.rows("SELECT DISTINCT port FROM network_events")}
    assert int(server.base_url.rpartition(":")[2]) in ports
    assert hook.server_port not in ports
