"""AWS's and Cohere's SDKs as oracles: what they make of an answer is what the ledger says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import cohere
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn

Running = Callable[[str], StandIn]
TURNS = ("plain", "one", "parallel", "silent", "shell")
TOOLS = ("get_weather", "get_time", "bash")


@pytest.fixture
def server(running: Running, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    server = running("tools")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return server


def bedrock(server: StandIn) -> Any:
    return Session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.base_url,
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        verify=str(server.bundle_path),
        config=Config(retries={"total_max_attempts": 1}),
    )


def converse(turn: str) -> Any:
    schema = {"json": {"type": "object"}}
    return {
        "modelId": "us.amazon.nova-pro-v1:0",
        "messages": [{"role": "user", "content": [{"text": f"turn={turn}"}]}],
        "toolConfig": {
            "tools": [{"toolSpec": {"name": name, "inputSchema": schema}} for name in TOOLS]
        },
    }


def record_of(server: StandIn, request_id: str) -> LedgerRecord:
    number = int(request_id[-16:], 16)
    found = {record.exchange: record for record in server.ledger(at_least=number)}
    assert found[number].request_id == request_id
    return found[number]


def check(record: LedgerRecord, text: str, calls: list[tuple[str, str, Any]]) -> None:
    assert record.text_sha256 == (hashlib.sha256(text.encode()).hexdigest() if text else None)
    sent = [(one.tool_call_id, one.name, json.loads(one.arguments)) for one in record.tool_calls]
    assert sent == calls


@pytest.mark.parametrize("turn", TURNS)
def test_converse(server: StandIn, turn: str) -> None:
    client = bedrock(server)
    whole = client.converse(**converse(turn))
    record = record_of(server, whole["ResponseMetadata"]["RequestId"])
    content = whole["output"]["message"]["content"]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    check(
        record,
        "".join(block.get("text", "") for block in content),
        [(call["toolUseId"], call["name"], call["input"]) for call in calls],
    )
    assert (record.api, record.finish_reason) == ("bedrock.converse", whole["stopReason"])
    assert record.usage is not None
    usage = whole["usage"]
    assert record.usage.input_tokens == (
        usage["inputTokens"] + usage["cacheReadInputTokens"] + usage["cacheWriteInputTokens"]
    )
    streamed = client.converse_stream(**converse(turn))
    said, arguments = "", ""
    for event in streamed["stream"]:
        delta = event.get("contentBlockDelta", {}).get("delta", {})
        said += delta.get("text", "")
        arguments += delta.get("toolUse", {}).get("input", "")
    record = record_of(server, streamed["ResponseMetadata"]["RequestId"])
    assert record.streamed
    assert "".join(call.arguments for call in record.tool_calls) == arguments
    assert record.text_sha256 == (hashlib.sha256(said.encode()).hexdigest() if said else None)


def test_a_body_that_is_not_anthropics_is_refused(server: StandIn) -> None:
    with pytest.raises(ClientError) as refused:
        bedrock(server).invoke_model(modelId="amazon.nova-pro-v1:0", body=b'{"messages": []}')
    assert refused.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize("turn", TURNS)
def test_cohere(server: StandIn, turn: str) -> None:
    client = cohere.ClientV2(api_key="dummy", base_url=server.base_url)
    tools: Any = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in TOOLS
    ]
    messages: Any = [{"role": "user", "content": f"turn={turn}"}]
    answer = client.with_raw_response.chat(model="command-a", messages=messages, tools=tools)
    record = record_of(server, answer.headers["x-request-id"])
    made: Any = answer.data
    check(
        record,
        "".join(part.text for part in made.message.content or [] if part.type == "text"),
        [
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in made.message.tool_calls or []
        ],
    )
    assert (record.api, record.finish_reason) == ("cohere.chat", made.finish_reason)
    assert record.usage is not None
    assert record.usage.input_tokens == made.usage.billed_units.input_tokens
