"""What must hold when things go wrong: the agent is unharmed and nothing stored is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from collector.recording import RecordingReader
from probes import libraries
from probes.errors import UnderglassError
from tests.e2e.conftest import (
    UNDERGLASS,
    Watched,
    assert_equals_ledger,
    environment,
    lines_of,
    node,
    python,
    wait_for,
)
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Start = Callable[..., StandIn]


def test_kill_9_leaves_the_agent_unharmed_and_loses_at_most_a_second(
    standin: Start, tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0)
    store, answers = tmp_path / "store.db", tmp_path / "answers"
    observer = subprocess.Popen(
        [UNDERGLASS, "run", "--db", store, "--", *python("slow_agent.py", str(answers), "20")],
        env=environment(server),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(lines_of(answers)) >= 10, "ten answers")
    killed_at = time.time()
    observer.send_signal(signal.SIGKILL)
    observer.wait()
    wait_for(lambda: lines_of(answers)[-1:] == ["end"], "the agent's own end")
    lines = lines_of(answers)[:-1]
    assert [line.split()[1] for line in lines] == [f"id=slow{n}" for n in range(20)]
    assert len(server.ledger(at_least=20)) == 20
    done_before = [n for n, line in enumerate(lines) if float(line.split()[0]) < killed_at - 1.0]
    stored = Watched(store, 0, "", "").calls
    finished = [call for call in stored if call["status"] == "ok"]
    assert len(finished) >= len(done_before) >= 1
    assert all(datetime.fromisoformat(call["started_at"]).timestamp() < killed_at
               for call in stored)  # fmt: skip


def test_who_needs_the_store_alone_is_told_who_owns_it(standin: Start, tmp_path: Path) -> None:
    server = standin("echo", latency_scale=0)
    store, answers = tmp_path / "store.db", tmp_path / "answers"
    first = subprocess.Popen(
        [UNDERGLASS, "run", "--db", store, "--", *python("slow_agent.py", str(answers), "100")],
        env=environment(server),
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(lines_of(answers)) >= 2, "two answers")
    second = subprocess.run([UNDERGLASS, "analyse", "--db", store], capture_output=True, text=True)
    assert second.returncode == 1
    assert f"pid {first.pid}" in second.stderr
    assert "--db" in second.stderr
    # Reading works while it runs: the collector answers.
    listed = subprocess.run(
        [UNDERGLASS, "calls", "--db", store, "--json"], capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)
    first.send_signal(signal.SIGTERM)  # goes to the agent, which ends; then the collector does
    assert first.wait(30) == 128 + signal.SIGTERM
    assert Watched(store, 0, "", "").calls


def test_replay_gives_the_rows_of_the_capture(
    standin: Start, watched: Callable[..., Watched], tmp_path: Path
) -> None:
    server = standin("tools", latency_scale=0)
    recording, replayed = tmp_path / "capture.ug", tmp_path / "replayed.db"
    live = watched(server, python("anthropic_sync.py", "7"), options=["--record", str(recording)])
    assert live.exit_code == 0, live.stderr
    assert recording.stat().st_mode & 0o777 == 0o600
    done = subprocess.run(
        [UNDERGLASS, "replay", recording, "--db", replayed], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    again = Watched(replayed, 0, "", "")
    for view in ("calls", "tools", "processes", "sessions", "messages", "health", "captures",
                 "coverage", "chunks"):  # fmt: skip
        order = "ORDER BY ALL"
        columns = "* EXCLUDE (decoded_at)" if view == "captures" else "*"
        rows = live.rows(f"SELECT {columns} FROM {view} {order}")
        assert rows or view == "chunks", view
        assert rows == again.rows(f"SELECT {columns} FROM {view} {order}"), view
    # The key that the agent sent was masked before anything was written.
    frames = b"".join(RecordingReader(recording).frames())
    assert b"Authorization: Bearer ****" in frames
    assert b"sk-ant-dummy" not in frames


def test_store_of_100_resent_turns_is_a_tenth_of_the_plaintext(
    standin: Start, watched: Callable[..., Watched], tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0)
    one = watched(server, python("long_conversation.py", "1", "2000"), store=tmp_path / "one.db")
    without = one.store.stat().st_size  # what the program does besides: thousands of files read
    before = sum(r.request_bytes + r.response_bytes for r in server.ledger(at_least=1))
    result = watched(server, python("long_conversation.py", "100", "2000"))
    assert result.exit_code == 0, result.stderr
    total = sum(r.request_bytes + r.response_bytes for r in server.ledger(at_least=101))
    plaintext = total - before
    assert result.health("openssl", "captured_bytes") == plaintext
    assert result.store.stat().st_size - without <= plaintext / 10
    (session,) = result.rows("SELECT * FROM sessions")
    assert session["calls"] == 100
    last = result.calls[-1]["call_id"]
    messages = result.rows(f"SELECT * FROM messages WHERE call_id = '{last}'")
    assert len(messages) == 1 + 199 + 1  # system, history, answer


def test_no_content_stores_no_text(standin: Start, watched: Callable[..., Watched]) -> None:
    server = standin("tools", latency_scale=0)
    result = watched(server, python("anthropic_sync.py", "6"), options=["--no-content"])
    assert result.exit_code == 0, result.stderr
    assert len(result.calls) == 12
    assert {tool["arguments"] for tool in result.tools} == {None}
    assert not result.rows("SELECT * FROM messages WHERE body IS NOT NULL")
    assert "Zürich".encode() not in result.store.read_bytes()


def test_the_child_owns_its_streams_and_exit_code(
    standin: Start, watched: Callable[..., Watched]
) -> None:
    server = standin("echo", latency_scale=0)
    result = watched(server, ["sh", "-c", "printf 'out\\n'; printf 'err\\n' >&2; exit 42"])
    assert result.exit_code == 42
    assert result.stdout == "out\n"
    assert result.stderr.startswith("err\n")
    assert watched(server, ["sh", "-c", "kill -9 $$"]).exit_code == 128 + 9
    missing = watched(server, ["no-such-program-here"])
    assert missing.exit_code == 127
    assert "no-such-program-here" in missing.stderr


def test_processes_are_told_whole(standin: Start, watched: Callable[..., Watched]) -> None:
    server = standin("echo", latency_scale=0)
    long = "x" * 40_000
    script = f"cd /usr && env true {long}; (exit 7); env env false; kill -TERM $$"
    result = watched(server, ["sh", "-c", script])
    assert result.exit_code == 128 + signal.SIGTERM
    rows = result.rows("SELECT * FROM processes ORDER BY started_at, process_key")
    (shell,) = [row for row in rows if row["argv"][:2] == ["sh", "-c"]]
    assert shell["argv"][2] == script
    assert (shell["exit_code"], shell["signal"]) == (None, signal.SIGTERM)
    assert os.path.basename(shell["exe"]) in ("dash", "bash", "sh")
    children = [row for row in rows if row["ppid"] == shell["pid"] and row["argv"]]
    programs = [(row["argv"][0], row["exit_code"]) for row in children]
    # One row a program: `env` replaces itself by what it runs.
    assert [name for name, _ in programs] == ["env", "true", "env", "env", "false"]
    assert ("true", 0) in programs
    assert ("false", 1) in programs
    (true,) = [row for row in rows if row["argv"][:1] == ["true"]]
    assert true["argv"][1] == long
    assert true["cwd"].endswith("/usr")  # in a chroot, the path outside of it
    assert true["exe"].endswith("/true")
    (subshell,) = [row for row in rows if not row["argv"]]
    assert subshell["exit_code"] == 7


def test_doctor_captures_the_canary() -> None:
    done = subprocess.run([UNDERGLASS, "doctor", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["self-test"]["status"] == "ok"
    assert {"kernel", "btf", "privileges", "tracefs", "bcc", "headers", "store"} <= checks.keys()


def test_without_root_the_error_names_the_fix() -> None:
    script = (
        "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        "from underglass.cli import main; "
        "sys.argv = ['underglass', 'run', '--db', '/tmp/none.db', '--', 'true']; main()"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import underglass.cli, underglass.watching, underglass.commands.run;" + script,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"SUDO_UID": ""},
    )
    assert done.returncode == 3
    assert "needs root" in done.stderr
    assert "sudo" in done.stderr


def test_report_and_health_keep_their_contract(
    standin: Start, watched: Callable[..., Watched]
) -> None:
    server = standin("tools", latency_scale=0)
    result = watched(server, python("openai_sync.py", "3"))
    ledger = server.ledger(at_least=12)

    def ask(command: str) -> dict[str, Any]:
        done = subprocess.run(
            [UNDERGLASS, command, "--db", result.store, "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        return answer

    report = ask("report")
    assert report["totals"]["calls"] == len(ledger)
    for part in ("latency", "ttft"):
        assert {"p50", "p90", "p95", "p99", "max"} <= report[part].keys()
        assert report[part]["max"] >= report[part]["p50"] > 0
    by_model = {usage["model"]: usage for usage in report["tokens"]}
    for model in {record.model for record in ledger}:
        sent = [record.usage for record in ledger if record.model == model and record.usage]
        assert by_model[model]["output_tokens"] == sum(u.output_tokens or 0 for u in sent)
    tools = Counter(tool.name for record in ledger for tool in record.tool_calls)
    assert {tool["name"]: tool["calls"] for tool in report["tools"]} == tools
    health = ask("health")
    assert health["sources"]["openssl"]["captured_bytes"] == sum(
        record.request_bytes + record.response_bytes for record in ledger
    )
    assert set(health["sources"]["openssl"]["lost_bytes"].values()) == {0}
    assert health["attached_probes"] > 0
    assert health["coverage_gaps"] == []


def test_connections_without_llm_calls_are_ignored_in_the_kernel(
    standin: Start, tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0)
    store, enough = tmp_path / "store.db", tmp_path / "enough"
    observer = subprocess.Popen(
        [UNDERGLASS, "run", "--db", store, "--", *python("other_traffic.py", str(enough), "500")],
        env=environment(server),
        stderr=subprocess.DEVNULL,
    )
    watched = Watched(store, 0, "", "")

    def ignored() -> bool:
        try:
            return watched.health("http", "connections_ignored") == 1
        except UnderglassError:
            return False  # the collector does not answer yet

    wait_for(ignored, "the collector asks the kernel to ignore the connection")
    enough.touch()
    assert observer.wait(60) == 0
    assert [call["api"] for call in watched.calls] == ["openai.chat"]
    assert watched.health("openssl", "ignored_bytes") > 0
    captured = watched.health("openssl", "captured_bytes")
    total = sum(record.request_bytes + record.response_bytes for record in server.ledger())
    assert captured + watched.health("openssl", "ignored_bytes") == total
    assert watched.health("stream", "lost_bytes") == 0


def _is_hooked(watched: Watched, path: str) -> bool:
    try:
        rows = watched.rows("SELECT path, status FROM coverage")
    except UnderglassError:
        return False  # the collector does not answer yet
    return any(path in row["path"] and row["status"] == "hooked" for row in rows)


def test_a_library_that_is_loaded_late_is_hooked(standin: Start, tmp_path: Path) -> None:
    """A private copy of libssl, which no process had when the probes were attached."""
    server = standin("echo", latency_scale=0)
    store = tmp_path / "store.db"
    (system,) = [path for path in libraries.installed() if path.endswith("/libssl.so.3")]
    private = tmp_path / "private" / "libssl.so.3"
    private.parent.mkdir()
    shutil.copy(system, private)
    assert server.certificates is not None
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "id=late"}]}
    observer = subprocess.Popen(
        [UNDERGLASS, "run", "--db", store, "--",
         "env", f"LD_LIBRARY_PATH={private.parent}",
         "curl", "-sS", "--cacert", str(server.certificates.ca_path), "-d", "@-",
         f"{server.base_url}/v1/chat/completions"],
        env=environment(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    watched = Watched(store, 0, "", "")
    wait_for(lambda: _is_hooked(watched, "private"), "the private libssl is hooked")
    out, _ = observer.communicate(json.dumps(body), timeout=30)  # curl reads it, then connects
    assert "late" in out
    (call,) = watched.calls
    (record,) = server.ledger(at_least=1)
    assert call["response_id"] == record.response_id
    assert call["request_bytes"] == record.request_bytes
    assert call["response_bytes"] == record.response_bytes


def test_a_program_behind_a_launcher_is_hooked(standin: Start, tmp_path: Path) -> None:
    server = standin("echo", latency_scale=0)
    store = tmp_path / "store.db"
    private = tmp_path / "node"  # an executable that nothing has hooked before
    shutil.copy(node(), private)
    program = Path(__file__).with_name("programs") / "fetch.mjs"
    observer = subprocess.Popen(
        [UNDERGLASS, "run", "--db", store, "--",
         "sh", "-c", f"cd / && exec {private} {program} 5 wait"],
        env=environment(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    watched = Watched(store, 0, "", "")
    wait_for(lambda: _is_hooked(watched, str(private)), "the executable is hooked")
    out, _ = observer.communicate(timeout=60)
    assert out.count("true") == 10
    assert_equals_ledger(watched, server.ledger(at_least=10))


def test_a_full_disk_ends_the_recording_and_not_the_agent(standin: Start, tmp_path: Path) -> None:
    server = standin("echo", latency_scale=0)
    small, answers = tmp_path / "small", tmp_path / "answers"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], check=True)
    try:
        script = "head -c 300000 /dev/urandom | base64 -w 900 | xargs -n 1 true; "
        agent = " ".join(python("slow_agent.py", str(answers), "3"))
        done = subprocess.run(
            [UNDERGLASS, "record", small / "capture.ug", "--", "sh", "-c", script + agent],
            env=environment(server), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert lines_of(answers)[-1:] == ["end"]
        assert "No space left" in done.stderr
        assert "free disk space" in done.stderr
        assert done.returncode == 1
        reader = RecordingReader(small / "capture.ug")
        assert reader.info.command.startswith("record ")
        reader.close()
    finally:
        subprocess.run(["umount", small], check=True)
