"""The bundled recording, decoded as if it happened now: readers see it grow, and find the same as
`replay` does."""

from __future__ import annotations

import time
from pathlib import Path

from analysis.analyst import analyse
from analysis.reading import open_reader
from collector.decoding import decode
from collector.recording import RecordingReader
from collector.redaction import Redactor
from collector.store import Store
from underglass.demo.office import RECORDING, SALT
from underglass.replaying import PacedReplay

_COUNTED = """
SELECT agent, model, status, count(*) AS n, sum(output_tokens) FROM calls GROUP BY ALL ORDER BY ALL
"""
_FOUND = "SELECT kind, severity, count FROM findings ORDER BY ALL"
_HEAD_S = 8.0


def test_readers_see_it_grow_to_what_a_replay_gives(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    with Store.open(whole) as store:
        redactor = Redactor(SALT)
        decode(RecordingReader(RECORDING), redactor, store.write, version="test")
        analyse(store)
    with open_reader(whole) as reader:
        calls, found = reader.rows(_COUNTED).rows, reader.rows(_FOUND).rows
    assert sum(row[3] for row in calls) > 40
    assert {"error_repeat", "leak", "policy_denied"} <= {row[0] for row in found}

    growing = tmp_path / "growing.db"
    replay = PacedReplay(RECORDING, growing, salt=SALT, speed=30, head_s=_HEAD_S)
    try:
        began_ns = time.time_ns()
        replay.start()
        with open_reader(growing) as reader:
            assert reader.source.startswith("collector")
            ((first, now, started_ns),) = reader.rows(
                "SELECT count(*), epoch_ns(now()), epoch_ns(min(started_at)) FROM calls"
            ).rows
        assert 0 < first < 43
        assert began_ns - 1.1 * _HEAD_S * 1e9 < started_ns < now
        deadline = time.monotonic() + 60
        while not replay.ended:
            assert replay.failure is None
            assert time.monotonic() < deadline
            replay._thread.join(0.1)
    finally:
        replay.close()
    with Store.open(growing) as store:
        analyse(store)
    with open_reader(growing) as reader:
        assert reader.source == "file"
        assert reader.rows(_COUNTED).rows == calls
        assert reader.rows(_FOUND).rows == found


def test_it_can_be_left_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "left.db"
    replay = PacedReplay(RECORDING, path, salt=SALT)
    replay.start()
    replay.close()
    assert not replay.ended
    assert replay.failure is None
    with open_reader(path) as reader:
        ((calls,),) = reader.rows("SELECT count(*) FROM calls").rows
    assert calls
