"""The answer of a running call, as the store tells it while a real program receives it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.errors import UnderglassError
from tests.e2e.conftest import UNDERGLASS, Watched, environment, python, wait_for
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
WORDS = [f"word{number} " for number in range(24)]
STOPS = (7, 15)  # words after which the program reads no further, for a while


def test_the_answer_grows_in_the_store_and_is_gone_when_the_call_has_ended(
    standin: Callable[..., StandIn], tmp_path: Path
) -> None:
    script = tmp_path / "script.toml"
    script.write_text(f"[[turn]]\ntext = {json.dumps(WORDS)}\n")
    server = standin(script)
    watched = Watched(tmp_path / "s.db", 0, "", "")
    gates = [tmp_path / f"gate{stop}" for stop in STOPS]
    stops = [
        part for stop, gate in zip(STOPS, gates, strict=True) for part in (WORDS[stop], str(gate))
    ]
    command = [str(UNDERGLASS), "run", "--db", str(watched.store)]
    command += ["--", *python("streamed_once.py", *stops)]
    running = subprocess.Popen(command, env=environment(server), stderr=subprocess.PIPE)
    seen: list[str] = []

    def said() -> str:
        """What the store says that the answer is, so far."""
        try:
            rows = watched.rows("SELECT * FROM running_text")
        except UnderglassError:
            return ""  # no store yet, or nobody to ask
        for row in rows:
            assert row["output_tokens"] > 0
            text = str(row["body"][0]["content"][0]["text"])
            if text not in seen:
                seen.append(text)
            return text
        return ""

    for stop, gate in zip(STOPS, gates, strict=True):
        begun = "".join(WORDS[: stop + 1])
        wait_for(lambda begun=begun: said().startswith(begun), begun)  # type: ignore[misc]
        if stop == STOPS[-1]:
            [call] = watched.calls
            assert call["status"] == "running"
            show = [str(UNDERGLASS), "show", call["call_id"], "--db", str(watched.store)]
            shown = subprocess.run(show, capture_output=True, text=True)
            assert f"  {begun.strip()}" in shown.stdout, shown.stderr
        gate.touch()
    assert running.wait() == 0, running.communicate()

    [record] = server.ledger(at_least=1)
    [call] = watched.calls
    assert (call["status"], call["complete"]) == ("ok", True)
    [row] = watched.rows("SELECT body FROM messages WHERE side = 'output'")
    whole = row["body"]["content"][0]["text"]
    assert hashlib.sha256(whole.encode()).hexdigest() == record.text_sha256
    assert len(seen) >= len(STOPS)
    assert seen == sorted(seen, key=len)
    assert all(whole.startswith(text) for text in seen)
    assert len(seen[0]) < len(whole)
    for table in ("running_text", "running_answer"):
        assert watched.rows(f"SELECT count(*) AS rows FROM {table}") == [{"rows": 0}]
