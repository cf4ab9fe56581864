"""boto3's bedrock-runtime: what it accumulates is what is stored, and what was sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import PROGRAMS, Watched, assert_equals_ledger, python
from tests.e2e.told import assert_equals_told
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged


def test_boto3(standin: Callable[..., StandIn], watched: Callable[..., Watched]) -> None:
    server = standin(PROGRAMS / "sdk_turns.toml", latency_scale=0)
    result = watched(server, python("sdk_bedrock.py"))
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=26))
    assert_equals_told(result, at_least=26)
    assert {call["provider"] for call in result.calls} == {"aws.bedrock"}
    assert {call["operation"] for call in result.calls} == {"chat"}
    priced = {call["cost_source"] for call in result.calls if call["status"] == "ok"}
    assert len(priced) == 1
    assert all(source.startswith("genai-prices/") for source in priced)
