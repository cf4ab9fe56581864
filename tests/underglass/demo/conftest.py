from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from underglass.demo.standin import StandIn

Running = Callable[[str | Path], StandIn]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Stand-ins by script, each started once for the whole run, without the scripts' delays."""
    servers: dict[str | Path, StandIn] = {}

    def start(script: str | Path) -> StandIn:
        if script not in servers:
            servers[script] = StandIn(script, tmp_path_factory.mktemp("standin"), latency_scale=0)
            servers[script].start()
        return servers[script]

    yield start
    for server in servers.values():
        server.stop()
