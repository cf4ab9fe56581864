"""The user's own limits of runaways."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.runaways import DEFAULT
from underglass.limits import BadLimits, runaway_limits


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "limits.toml"
    monkeypatch.setenv("UNDERGLASS_LIMITS", str(path))
    return path


def test_without_a_file_the_usual_limits_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNDERGLASS_LIMITS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert runaway_limits() == DEFAULT
    (tmp_path / "underglass").mkdir()
    (tmp_path / "underglass" / "limits.toml").write_text("steps = 7")
    assert runaway_limits().steps == 7


def test_what_the_file_says_holds_and_the_rest_stays(limits: Path) -> None:
    limits.write_text("steps = 12\ncost_usd = false\nactive_s = 60")
    found = runaway_limits()
    assert (found.steps, found.cost_usd, found.active_s) == (12, None, 60.0)
    assert found.calls_after_done == DEFAULT.calls_after_done


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stepps = 1", "unknown key 'stepps'"),
        ("steps = 0", "no limit"),
        ("steps = true", "no limit"),
        ("steps = 'many'", "no limit"),
        ("calls_after_done = false", "no limit"),
        ("steps =", "limits.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(limits: Path, text: str, said: str) -> None:
    limits.write_text(text)
    with pytest.raises(BadLimits, match=said) as refused:
        runaway_limits()
    assert refused.value.hint


def test_a_file_that_is_named_must_be_there(limits: Path) -> None:
    with pytest.raises(BadLimits, match="cannot read"):
        runaway_limits()
