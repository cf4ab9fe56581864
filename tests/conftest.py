"""What all tests share: privileged tests run where they can, and must where that is demanded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
collect_ignore = ["agents"]  # collected when they are named: make test-agents


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands remember stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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
