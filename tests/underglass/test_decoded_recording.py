"""A recording that is looked at without being kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.reading import open_reader
from probes.errors import UnderglassError
from tests.conftest import ROOT
from underglass.decoded_recording import is_recording, passing_store

RECORDING = ROOT / "tests" / "collector" / "recordings" / "http1.uglass"


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_recording_is_decoded_analysed_and_gone_afterwards() -> None:
    assert is_recording(RECORDING)
    with passing_store(RECORDING) as store:
        with open_reader(store) as reader:
            assert reader.rows("SELECT count(*) FROM calls").rows[0][0] > 0
            assert len(reader.rows("FROM stale_session")) == 0
        assert store.parent.stat().st_mode & 0o077 == 0
    assert not store.parent.exists()


def test_a_damaged_one_shows_what_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.uglass"
    cut.write_bytes(RECORDING.read_bytes()[:-500])
    with passing_store(cut) as store, open_reader(store) as reader:
        assert len(reader.rows("FROM captures")) == 1
    assert str(cut) in capsys.readouterr().err


def test_what_is_none(tmp_path: Path) -> None:
    other = tmp_path / "file"
    other.write_bytes(b"UGLASS")
    assert not is_recording(other)
    with pytest.raises(UnderglassError, match="not a recording"), passing_store(other):
        pass
