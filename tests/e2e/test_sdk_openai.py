"""OpenAI's SDK: what it accumulates is what is stored, and what was sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import PROGRAMS, Watched, assert_equals_ledger, python
from tests.e2e.told import assert_equals_told
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged


def test_openai(standin: Callable[..., StandIn], watched: Callable[..., Watched]) -> None:
    server = standin(PROGRAMS / "sdk_turns.toml", latency_scale=0)
    result = watched(server, python("sdk_openai.py"))
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=30))
    assert_equals_told(result, at_least=30)
    operations = {call["api"]: call["operation"] for call in result.calls}
    assert operations == {
        "openai.chat": "chat",
        "openai.responses": "chat",
        "openai.embeddings": "embeddings",
        "openai.completions": "text_completion",
    }
