"""Bars on a terminal, and only there."""

from __future__ import annotations

import io
import sys

import pytest

from underglass.progress import progress_bar


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_filled_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("decoding a.rec", 200) as done:
        assert done is not None
        for read in (50, 100, 250):  # a file may grow meanwhile
            done(read)
    text = terminal.getvalue()
    assert "decoding a.rec" in text
    assert "100%" in text
    with progress_bar("short", 3, least=4) as done:
        assert done is None
    assert "short" not in terminal.getvalue()


def test_there_is_no_bar_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("decoding", 200) as done:
        assert done is None
    assert capsys.readouterr() == ("", "")
