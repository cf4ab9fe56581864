"""`attach` by pid, by name and to the whole host, against agents that it did not start."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import UNDERGLASS, Watched, environment, lines_of, python, wait_for
from tests.e2e.watching import while_attached
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
Start = Callable[..., StandIn]


def test_attach_to_a_running_agent(standin: Start, tmp_path: Path) -> None:
    server = standin("echo", latency_scale=0)
    store, answers = tmp_path / "store.db", tmp_path / "answers"
    agent = subprocess.Popen(python("slow_agent.py", str(answers), "1000"), env=environment(server))
    try:
        wait_for(lambda: len(lines_of(answers)) >= 3, "three answers")
        attached = subprocess.run(
            [UNDERGLASS, "attach", "--pid", str(agent.pid), "--for", "4", "--db", store],
            capture_output=True,
            text=True,
        )
        assert attached.returncode == 0, attached.stderr
        watched = Watched(store, 0, "", "")
        calls = watched.calls
        assert len(calls) >= 5
        assert {call["pid"] for call in calls} == {agent.pid}
        ledger = {record.request_id: record for record in server.ledger()}
        whole = [call for call in calls if call["complete"]]
        assert len(whole) >= len(calls) - 2  # the first may have begun, the last not ended
        for call in whole:
            record = ledger[call["provider_request_id"]]
            assert call["response_id"] == record.response_id
            assert call["request_bytes"] == record.request_bytes
        assert watched.health("openssl", "lost_bytes") == 0
        (process,) = watched.rows("SELECT * FROM processes")
        assert process["pid"] == agent.pid
        assert process["argv"][1].endswith("slow_agent.py")
        assert agent.poll() is None
    finally:
        agent.kill()
        agent.wait()


def test_attach_by_name_sees_later_programs_of_that_name_alone(
    standin: Start, tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0)
    store, answers = tmp_path / "store.db", tmp_path / "answers"
    assert server.certificates is not None
    body = '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "id=named"}]}'
    curl = ["curl", "-sS", "--cacert", str(server.certificates.ca_path), "-d", body,
            f"{server.base_url}/v1/chat/completions"]  # fmt: skip

    def work() -> None:
        subprocess.run(curl, check=True, capture_output=True)
        subprocess.run(
            python("slow_agent.py", str(answers), "2"), env=environment(server), check=True
        )

    code, said = while_attached(store, ["--name", "curl"], work)
    assert code == 0, said
    (call,) = Watched(store, 0, "", "").calls
    assert call["comm"] == "curl"
    assert call["request_bytes"] == server.ledger(at_least=3)[0].request_bytes


def test_attach_to_the_whole_host_counts_each_call_once(standin: Start, tmp_path: Path) -> None:
    """The stand-in, too, is on this host: its side of each call is not a second call."""
    server = standin("echo", latency_scale=0)
    store, answers = tmp_path / "store.db", tmp_path / "answers"

    def work() -> None:
        subprocess.run(
            python("slow_agent.py", str(answers), "5"), env=environment(server), check=True
        )

    code, said = while_attached(store, ["--all"], work)
    assert code == 0, said
    watched = Watched(store, 0, "", "")
    ledger = server.ledger(at_least=5)
    assert sorted(call["response_id"] for call in watched.calls) == sorted(
        str(record.response_id) for record in ledger
    )
    assert watched.health("http", "connections_ignored") >= 1
    assert watched.health("openssl", "lost_bytes") == 0
