from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.stage import demo_batch, make_store


@pytest.fixture(autouse=True)
def _utc_and_colours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    time.tzset()
    # How long Textual's pilot watches whether the process is idle, after every key.
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.005)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def _demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("demo") / "demo.db", demo_batch())


@pytest.fixture
def demo(_demo_store: Path) -> Path:
    return _demo_store
