from __future__ import annotations

import os
import stat
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from collector import recording
from collector.recording import NotARecording, RecordingReader, RecordingWriter
from probes.errors import UnderglassError
from tests.frames import INFO, answer, ask, conversation, text, user

FRAMES = conversation(ask([user("hello")]), answer(text("hi")))


def record(path: Path, blocks: list[list[bytes]]) -> bytes:
    writer = RecordingWriter(path, INFO)
    for block in blocks:
        for frame in block:
            writer.add(frame)
        writer.flush()
    writer.close()
    return path.read_bytes()


def read(path: Path) -> tuple[list[bytes], str | None]:
    reader = RecordingReader(path)
    frames = list(reader.frames())
    reader.close()
    return frames, reader.damage


def test_what_was_recorded_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ugl"
    record(path, [FRAMES[:1], FRAMES[1:], []])
    assert read(path) == (FRAMES, None)
    assert RecordingReader(path).info == INFO


def test_a_recording_without_frames(tmp_path: Path) -> None:
    path = tmp_path / "empty.ugl"
    record(path, [])
    assert read(path) == ([], None)


def test_long_captures_are_written_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "long.ugl"
    writer = RecordingWriter(path, INFO)
    frame = FRAMES[0]
    count = 3 * recording.BLOCK_BYTES // len(frame) + 10
    for _ in range(count):
        writer.add(frame)
    before_close, damage = read(path)
    assert damage is None
    assert len(before_close) >= 3 * recording.BLOCK_BYTES // len(frame) - 1
    writer.close()
    assert read(path) == ([frame] * count, None)
    assert path.stat().st_size < recording.BLOCK_BYTES


@pytest.mark.parametrize("existing", [False, True])
def test_only_the_owner_may_read_it(tmp_path: Path, existing: bool) -> None:
    path = tmp_path / "private.ugl"
    if existing:
        path.write_bytes(b"x" * 4096)
        path.chmod(0o644)
    before = os.umask(0)
    try:
        record(path, [FRAMES])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read(path) == (FRAMES, None)


def test_a_torn_tail_costs_its_block_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "torn.ugl"
    whole = record(path, [FRAMES[:2], FRAMES[2:]])
    first = len(record(tmp_path / "first.ugl", [FRAMES[:2]]))
    assert first < len(whole)
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        frames, damage = read(path)
        assert frames == FRAMES[:2], size
        assert damage == (None if size == first else "the last block is cut off"), size


def test_a_head_that_is_cut_off_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "torn.ugl"
    whole = record(path, [])
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(NotARecording):
            RecordingReader(path)


def test_a_changed_byte_in_a_block_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "changed.ugl"
    whole = record(path, [FRAMES[:2], FRAMES[2:]])
    first = len(record(tmp_path / "first.ugl", [FRAMES[:2]]))
    for at in range(first, len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(whole)
            changed[at] ^= flip
            path.write_bytes(changed)
            frames, damage = read(path)
            if damage is None:
                assert frames == FRAMES, (at, flip)  # a bit that decompression does not use
            else:
                assert frames == FRAMES[:2], (at, flip)


def test_blocks_that_claim_to_be_huge_are_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "huge.ugl"
    whole = record(path, [])
    path.write_bytes(whole + struct.pack("<III", 4, 1 << 31, 0) + b"abcd")
    assert read(path) == ([], "a block claims an impossible size")


def test_a_block_whose_data_claims_another_size_is_not_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "huge.ugl"
    whole = record(path, [])
    # RFC 8878 3.1.1: magic, a head with an eight-byte content size, an empty last block
    claims = b"\x28\xb5\x2f\xfd\xc0\x58" + struct.pack("<Q", 1 << 45) + b"\x01\0\0"
    path.write_bytes(whole + struct.pack("<III", len(claims), 100, 0) + claims)
    assert read(path) == ([], "a block is damaged; what follows it was not read")


def test_a_frame_that_the_writer_never_finished(tmp_path: Path) -> None:
    path = tmp_path / "cut.ugl"
    record(path, [[FRAMES[0], FRAMES[1][:-1]]])
    assert read(path) == (FRAMES[:1], "the last frame is cut off")


@pytest.mark.parametrize("content", [b"", b"UGLASS", b"UGLASS02" + b"\0" * 64, b"PK\3\4" * 20])
def test_other_files_are_no_recordings(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(NotARecording, match="is not a recording") as caught:
        RecordingReader(path)
    assert caught.value.hint


@pytest.mark.parametrize("head", [b"{}", b"[]", b"nonsense", b"\xff\xfe", b""])
def test_heads_of_other_formats_are_refused_by_name(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "future.ugl"
    path.write_bytes(recording.MAGIC + struct.pack("<I", len(head)) + head)
    with pytest.raises(NotARecording, match="cannot read"):
        RecordingReader(path)


def test_a_recording_of_a_later_format(tmp_path: Path) -> None:
    path = tmp_path / "later.ugl"
    RecordingWriter(path, replace(INFO, format=2)).close()
    with pytest.raises(NotARecording, match="unknown format") as caught:
        RecordingReader(path)
    assert "version of underglass that recorded it" in (caught.value.hint or "")


def test_a_missing_file_and_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UnderglassError, match="No such file"):
        RecordingReader(tmp_path / "none.ugl")
    with pytest.raises(UnderglassError, match="cannot write"):
        RecordingWriter(tmp_path / "none" / "x.ugl", INFO)


def test_a_full_disk_is_an_error_with_a_remedy_and_devices_keep_their_mode() -> None:
    full = Path("/dev/full")
    before = full.stat().st_mode
    with pytest.raises(UnderglassError, match="No space left") as caught:
        RecordingWriter(full, INFO)
    assert "disk space" in (caught.value.hint or "")
    assert full.stat().st_mode == before


def test_a_disk_that_fills_up_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "filling.ugl"
    writer = RecordingWriter(path, INFO)
    writer.add(FRAMES[0])
    writer.flush()
    monkeypatch.setattr(writer, "_file", open("/dev/full", "wb", buffering=0))
    writer.add(FRAMES[1])
    with pytest.raises(UnderglassError, match="No space left"):
        writer.flush()
    assert read(path) == (FRAMES[:1], None)
