"""Anthropic's SDK: what it accumulates is what is stored, and what was sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import PROGRAMS, Watched, assert_equals_ledger, python
from tests.e2e.told import assert_equals_told
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged


@pytest.mark.parametrize(
    ("host", "provider"), [("anthropic", "anthropic"), ("bedrock", "aws.bedrock")]
)
def test_anthropic(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], host: str, provider: str
) -> None:
    server = standin(PROGRAMS / "sdk_turns.toml", latency_scale=0)
    result = watched(server, python("sdk_anthropic.py", host))
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=12))
    assert_equals_told(result, at_least=12)
    assert {call["provider"] for call in result.calls} == {provider}
