from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from underglass.prices import BadPrices, price_file, price_overrides

GOOD = '[[model]]\nmatch = "mine*"\ninput = 1\noutput = 2.5\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("UNDERGLASS_PRICES", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    (tmp_path / "underglass").mkdir()
    return tmp_path / "underglass" / "prices.toml"


def test_the_option_goes_before_the_environment_and_that_before_the_directory(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert price_file(None) is None
    assert price_overrides(None) == ()
    config.write_text(GOOD)
    assert price_file(None) == config
    monkeypatch.setenv("UNDERGLASS_PRICES", str(tmp_path / "other.toml"))
    assert price_file(None) == tmp_path / "other.toml"
    assert price_file(tmp_path / "given.toml") == tmp_path / "given.toml"


def test_prices_are_read(config: Path) -> None:
    config.write_text(GOOD)
    (override,) = price_overrides(price_file(None))
    assert (override.match, override.input, override.output) == ("mine*", 1, 2.5)


def test_what_cannot_be_used_is_said_with_the_fix(config: Path, tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match="cannot read"):
        price_overrides(tmp_path / "none.toml")
    config.write_text('[[model]]\nmatch = "mine*"\n')
    with pytest.raises(BadPrices, match="'input' is missing") as raised:
        price_overrides(config)
    assert raised.value.hint
    assert "input = 0.5" in raised.value.hint


def test_a_bad_file_stops_a_command_before_it_does_anything(config: Path, tmp_path: Path) -> None:
    recording = tmp_path / "r.uglass"
    recording.write_bytes(b"")
    config.write_text("nonsense")
    program = Path(sys.executable).with_name("underglass")
    done = subprocess.run(
        [program, "replay", recording, "--db", tmp_path / "x.db"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "prices.toml" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "x.db").exists()
