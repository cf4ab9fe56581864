"""Cohere's SDK: what it accumulates is what is stored, and what was sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import PROGRAMS, Watched, assert_equals_ledger, python
from tests.e2e.told import assert_equals_told
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged


def test_cohere(standin: Callable[..., StandIn], watched: Callable[..., Watched]) -> None:
    server = standin(PROGRAMS / "sdk_turns.toml", latency_scale=0)
    result = watched(server, python("sdk_cohere.py"))
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=14))
    assert_equals_told(result, at_least=14)
    operations = {call["api"]: call["operation"] for call in result.calls}
    assert operations == {
        "cohere.chat": "chat",
        "cohere.embed": "embeddings",
        "cohere.rerank": "rerank",
    }
