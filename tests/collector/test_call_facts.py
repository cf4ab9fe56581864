"""What a call's row says beside its tokens: who asked, what for, under which id."""

from __future__ import annotations

import json

import pytest

from tests.collector.test_calls import Tracked
from tests.frames import http_request, http_response

CHAT = json.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}]}).encode()
PROMPT = json.dumps({"prompt": "Hi", "max_gen_len": 10}).encode()
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
INVOKE = "/model/us.meta.llama3-3-70b-instruct-v1%3A0/invoke"


@pytest.mark.parametrize(
    ("headers", "initiator"),
    [
        (("X-Initiator: agent",), "agent"),
        (("x-initiator: user",), "user"),
        (("X-Initiator: <script>",), None),
        ((), None),
    ],
)
def test_copilot_says_who_asked(headers: tuple[str, ...], initiator: str | None) -> None:
    host = "api.githubcopilot.com"
    sent = http_request("/chat/completions", CHAT, headers, host=host)
    row = Tracked().sends(sent).receives(http_response(b"{}")).call()
    assert (row.provider, row.initiator) == ("github_copilot", initiator)


def test_a_body_may_tell_the_operation_and_a_header_count_its_tokens() -> None:
    answer = http_response(
        json.dumps({"generation": "Hello", "stop_reason": "stop"}).encode(),
        headers=(
            "Content-Type: application/json",
            "x-amzn-RequestId: 7a1c",
            "X-Amzn-Bedrock-Input-Token-Count: 3",
            "X-Amzn-Bedrock-Output-Token-Count: 5",
        ),
    )
    row = Tracked().sends(http_request(INVOKE, PROMPT, host=BEDROCK)).receives(answer).call()
    assert (row.provider, row.api, row.operation) == (
        "aws.bedrock",
        "bedrock.invoke",
        "text_completion",
    )
    assert (row.request_model, row.model) == ("us.meta.llama3-3-70b-instruct-v1:0", None)
    assert (row.input_tokens, row.output_tokens) == (3, 5)
    assert row.provider_request_id == "7a1c"
    assert row.cost_source is not None
    assert row.cost_source.startswith("genai-prices/")
    assert (row.status, row.finish_reason) == ("ok", "stop")
