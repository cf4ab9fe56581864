from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from collector.pipeline import Pipeline
from collector.raw_data import RawData, raw_directory, raw_path
from collector.recording import RecordingReader
from collector.redaction import Redactor
from collector.rows import Batch
from probes.errors import UnderglassError
from tests.collector.captures import everything
from tests.frames import INFO, SALT

LIMIT = 1 << 20


def captured() -> list[bytes]:
    redactor = Redactor(SALT)
    return [redactor.frame(one) for one in everything()]


def told(raw: RawData) -> Batch:
    batch = Pipeline(INFO, str).finish()
    raw.tell(batch)
    return batch


def frames_in(path: Path) -> list[bytes]:
    reader = RecordingReader(path)
    found = list(reader.frames())
    reader.close()
    assert reader.info == INFO
    return found


def test_a_capture_is_kept_whole(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    raw = RawData(store, INFO, LIMIT)
    for number, one in enumerate(captured()):
        raw.add(one)
        if number % 9 == 0:
            raw.flush()
    [row] = told(raw).captures
    assert (row.raw_path, row.raw_bytes, row.raw_state) == (str(raw.path), None, "open")
    raw.close()
    batch = told(raw)
    [row] = batch.captures
    assert (row.raw_bytes, row.raw_state) == (raw.path.stat().st_size, "whole")
    assert "raw_data" not in {row.source for row in batch.health}
    assert raw.failure is None
    assert frames_in(raw.path) == captured()
    assert raw.path == tmp_path / "s.db.raw" / f"{INFO.capture_id}.uglass"
    assert stat.S_IMODE(os.stat(raw.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(raw.path.parent).st_mode) == 0o700


@pytest.mark.parametrize("flush_every", [1, 1000])
def test_the_limit_ends_it_and_is_told(tmp_path: Path, flush_every: int) -> None:
    raw = RawData(tmp_path / "s.db", INFO, 2000)
    for number, one in enumerate(captured()):
        raw.add(one)
        if number % flush_every == 0:
            raw.flush()
    raw.close()
    batch = told(raw)
    [row] = batch.captures
    assert (row.raw_state, row.raw_bytes) == ("size_limit", raw.path.stat().st_size)
    assert raw.path.stat().st_size <= 2000
    kept = frames_in(raw.path)
    assert kept == captured()[: len(kept)]
    [unkept] = [row for row in batch.health if row.source == "raw_data"]
    assert (unkept.counter, unkept.cause) == ("unkept_bytes", "size_limit")
    assert unkept.value == sum(map(len, captured()[len(kept) :])) > 0
    assert raw.failure is not None


def test_a_full_disk_ends_it_and_is_told(tmp_path: Path) -> None:
    directory = raw_directory(tmp_path / "s.db")
    directory.mkdir()
    raw = RawData(tmp_path / "s.db", INFO, LIMIT)
    one, *rest = captured()
    raw.add(one)
    raw.flush()
    os.dup2(os.open("/dev/full", os.O_WRONLY), raw._recording._file.fileno())
    for one in rest:
        raw.add(one)
    raw.flush()
    raw.flush()
    raw.close()
    batch = told(raw)
    assert batch.captures[0].raw_state == "write_failed"
    [unkept] = [row for row in batch.health if row.source == "raw_data"]
    assert (unkept.cause, unkept.value) == ("write_failed", sum(map(len, rest)))
    assert len(frames_in(raw.path)) == 1


def test_the_directory_must_be_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    raw_directory(tmp_path / "a.db").symlink_to(tmp_path / "elsewhere")
    raw_directory(tmp_path / "b.db").write_bytes(b"")
    for name in ("a.db", "b.db", "none/c.db"):
        with pytest.raises(UnderglassError) as refused:
            RawData(tmp_path / name, INFO, LIMIT)
        assert refused.value.hint
    directory = raw_directory(tmp_path / "d.db")
    directory.mkdir(mode=0o777)
    RawData(tmp_path / "d.db", INFO, LIMIT).close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_raw_data_is_found_where_its_store_was_moved_to(tmp_path: Path) -> None:
    info = replace(INFO, capture_id="abc")
    raw = RawData(tmp_path / "s.db", info, LIMIT)
    raw.close()
    assert raw_path(tmp_path / "s.db", "abc", str(raw.path)) == raw.path
    (tmp_path / "moved").mkdir()
    os.rename(raw.path.parent, tmp_path / "moved" / "s.db.raw")
    there = tmp_path / "moved" / "s.db.raw" / "abc.uglass"
    assert raw_path(tmp_path / "moved" / "s.db", "abc", str(raw.path)) == there
    assert raw_path(tmp_path / "s.db", "abc", str(raw.path)) is None
    assert raw_path(tmp_path / "s.db", "abc", None) is None
