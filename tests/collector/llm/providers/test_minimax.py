from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import answered, assert_plain, completion, served


@pytest.mark.parametrize("host", ["api.minimax.io", "api.minimaxi.com"])
def test_chat(host: str) -> None:
    assert_plain("minimax", f"https://{host}/v1", "MiniMax-M2")
    served("minimax", f"https://{host}/anthropic/v1/messages", "anthropic.messages")


def test_reasoning_details_and_base_resp() -> None:
    detail = {"type": "reasoning.text", "text": "Greet.", "index": 0}
    message = {"role": "assistant", "content": "Hello!", "reasoning_details": [detail]}
    ok = {"status_code": 0, "status_msg": ""}
    body = completion("MiniMax-M2", message, base_resp=ok)
    found = answered(served("minimax", "https://api.minimax.io/v1/chat/completions"), body)
    assert found.output == (message,)
    assert found.error is None
