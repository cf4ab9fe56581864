"""What all tests share: privileged tests run where they can, and must where that is demanded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from collector.store import Store

ROOT = Path(__file__).parents[1]
settings.register_profile("suite", max_examples=50)
settings.load_profile("suite")
collect_ignore = ["agents"]  # collected when they are named: make test-agents


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands remember stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as `Store.open` makes it."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    Store.open(path).close()
    return path


@pytest.fixture(autouse=True)
def _new_stores_are_copies(
    request: pytest.FixtureRequest, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the tables takes a tenth of a second, a copy of them nearly none."""
    if request.node.get_closest_marker("new_stores") is not None:
        return
    as_it_is = Store.open

    def open_copy(path: Path, **given: Any) -> Store:
        place = Path(path)
        if place.parent.is_dir() and not os.path.lexists(place):
            shutil.copy(empty_store, place)
        return as_it_is(path, **given)

    monkeypatch.setattr(Store, "open", open_copy)


@cache
def _why_no_probes() -> str | None:
    if os.geteuid() != 0:
        return "needs root"
    from probes.bcc_bindings import BccUnavailable, load_bcc

    try:
        load_bcc()
    except BccUnavailable as error:
        return str(error)
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that take long are left to `make soak`."""
    if os.environ.get("UNDERGLASS_SOAK"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("privileged") is None:
        return
    why = _why_no_probes()
    if why is None:
        return
    if os.environ.get("UNDERGLASS_REQUIRE_PRIVILEGED"):
        pytest.fail(f"a privileged test cannot run: {why}")
    pytest.skip(why)
