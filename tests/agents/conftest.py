"""What the tests on real agents share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.agents.runs import Account, Row, unwatched


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Row], Account]:
    """How a run goes when nobody watches; once a row."""
    done: dict[str, Account] = {}

    def run(row: Row) -> Account:
        if str(row) not in done:
            done[str(row)] = unwatched(row, tmp_path_factory.mktemp("alone"))
        return done[str(row)]

    return run
