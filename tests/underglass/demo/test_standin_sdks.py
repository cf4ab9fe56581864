"""The official SDKs as oracles: what they accumulate is what the ledger says was sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn

Running = Callable[[str], StandIn]


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
NAMES = ("get_weather", "get_time", "transfer_to_human", "bash")
ANTHROPIC_TOOLS = [{"name": name, "input_schema": WEATHER} for name in NAMES]
CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": WEATHER}} for name in NAMES
]
RESPONSES_TOOLS = [{"type": "function", "name": name, "parameters": WEATHER} for name in NAMES]
TURNS = ("plain", "one", "parallel", "silent", "shell", "handoff")


@pytest.fixture
def server(running: Running, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    server = running("tools")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return server


def record_of(server: StandIn, response_id: str) -> LedgerRecord:
    """The ledger's record of a response (its exchange's number is in the id)."""
    exchange = int(response_id[-16:], 16)
    found = {record.exchange: record for record in server.ledger(at_least=exchange)}
    record = found[exchange]
    assert record.response_id == response_id
    assert record.status == 200
    assert record.error_kind is None
    assert not record.cut
    assert record.first_byte_ns is not None
    assert record.received_ns <= record.first_byte_ns <= record.ended_ns
    return record


def check_text(record: LedgerRecord, text: str) -> None:
    assert record.text_sha256 == (hashlib.sha256(text.encode()).hexdigest() if text else None)


def check_anthropic(server: StandIn, message: anthropic.types.Message) -> None:
    record = record_of(server, message.id)
    assert record.api == "anthropic.messages"
    assert (record.model, record.finish_reason) == (message.model, message.stop_reason)
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    assert record.usage is not None
    assert record.usage.input_tokens == usage.input_tokens + read + written
    assert record.usage.output_tokens == usage.output_tokens
    assert (record.usage.cache_read_tokens, record.usage.cache_write_tokens) == (read, written)
    calls = [
        (block.id, block.name, block.input) for block in message.content if block.type == "tool_use"
    ]
    assert [(c.tool_call_id, c.name, json.loads(c.arguments)) for c in record.tool_calls] == calls
    check_text(record, "".join(b.text for b in message.content if b.type == "text"))


@pytest.mark.parametrize("turn", TURNS)
def test_anthropic(server: StandIn, turn: str) -> None:
    client: Any = anthropic.Anthropic(max_retries=0)
    asked: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"turn={turn}"}],
        "tools": ANTHROPIC_TOOLS,
    }
    whole = client.messages.create(**asked)
    check_anthropic(server, whole)
    with client.messages.stream(**asked) as stream:
        pieces = list(stream.text_stream)
        streamed = stream.get_final_message()
    check_anthropic(server, streamed)
    assert record_of(server, streamed.id).streamed
    assert not record_of(server, whole.id).streamed
    if turn == "one":
        assert len(pieces) > 1
        assert streamed.content[0].type == "thinking"
        assert streamed.content[0].signature
        assert streamed.usage.cache_creation_input_tokens == 400


def test_anthropic_async_beta_and_count_tokens(server: StandIn) -> None:
    async def ask() -> tuple[str, int]:
        client: Any
        async with anthropic.AsyncAnthropic(max_retries=0) as client:
            messages = [{"role": "user", "content": "turn=parallel"}]
            async with client.messages.stream(
                model="claude-sonnet-4-6",
                max_tokens=9,
                messages=messages,
                tools=ANTHROPIC_TOOLS,
                extra_query={"beta": "true"},
            ) as stream:
                message = await stream.get_final_message()
            counted = await client.messages.count_tokens(
                model="claude-sonnet-4-6", messages=messages
            )
            return message.id, counted.input_tokens

    response_id, tokens = asyncio.run(ask())
    record = record_of(server, response_id)
    assert record.target == "/v1/messages?beta=true"
    assert len(record.tool_calls) == 3
    counts = [r for r in server.ledger(record.exchange + 1) if r.exchange == record.exchange + 1]
    assert counts[0].api == "anthropic.count_tokens"
    assert tokens > 0


@pytest.mark.parametrize("turn", TURNS)
def test_openai_chat(server: StandIn, turn: str) -> None:
    client: Any = openai.OpenAI(max_retries=0)
    asked: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"turn={turn}"}],
        "tools": CHAT_TOOLS,
    }
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    for completion in (whole, streamed):
        record = record_of(server, completion.id)
        choice = completion.choices[0]
        assert record.api == "openai.chat"
        assert (record.model, record.finish_reason) == (completion.model, choice.finish_reason)
        usage = completion.usage
        assert record.usage is not None
        assert record.usage.input_tokens == usage.prompt_tokens
        assert record.usage.output_tokens == usage.completion_tokens
        assert record.usage.cache_read_tokens == usage.prompt_tokens_details.cached_tokens
        reasoning = usage.completion_tokens_details.reasoning_tokens
        assert record.usage.reasoning_tokens == reasoning
        calls = [
            (call.id, call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or ()
        ]
        assert [(c.tool_call_id, c.name, c.arguments) for c in record.tool_calls] == calls
        check_text(record, choice.message.content or "")


def test_openai_chat_streams_usage_only_when_asked(server: StandIn) -> None:
    client: Any = openai.OpenAI(max_retries=0)
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "turn=plain"}],
            stream=True,
        )
    )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert record_of(server, chunks[0].id).usage is None


@pytest.mark.parametrize("turn", TURNS)
def test_openai_responses(server: StandIn, turn: str) -> None:
    client: Any = openai.OpenAI(max_retries=0)
    asked: dict[str, Any] = {
        "model": "gpt-5-mini",
        "input": f"turn={turn}",
        "tools": RESPONSES_TOOLS,
    }
    whole = client.responses.create(**asked)
    kinds = []
    with client.responses.stream(**asked) as stream:
        for event in stream:
            kinds.append(event.type)
        streamed = stream.get_final_response()
    for response in (whole, streamed):
        record = record_of(server, response.id)
        assert record.api == "openai.responses"
        assert (record.model, record.finish_reason) == (response.model, response.status)
        usage = response.usage
        assert record.usage is not None
        assert record.usage.input_tokens == usage.input_tokens
        assert record.usage.output_tokens == usage.output_tokens
        assert record.usage.cache_read_tokens == usage.input_tokens_details.cached_tokens
        assert record.usage.reasoning_tokens == usage.output_tokens_details.reasoning_tokens
        calls = [
            (item.call_id, item.name, item.arguments)
            for item in response.output
            if item.type == "function_call"
        ]
        assert [(c.tool_call_id, c.name, c.arguments) for c in record.tool_calls] == calls
        check_text(record, response.output_text)
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    if turn == "one":
        assert kinds.count("response.function_call_arguments.delta") > 1
        assert "response.reasoning_summary_text.delta" in kinds


def test_a_tool_result_is_seen_and_moves_a_conversation_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = running("swe")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    client: Any = openai.OpenAI(max_retries=0)
    tools = [{"type": "function", "name": "bash", "parameters": WEATHER}]
    first = client.responses.create(model="gpt-5-mini", input="Repair fizz", tools=tools)
    call = next(item for item in first.output if item.type == "function_call")
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "fizz.py"}
    asked: dict[str, Any] = {"model": "gpt-5-mini", "tools": tools}
    linked = client.responses.create(**asked, input=[output], previous_response_id=first.id)
    resent = client.responses.create(
        **asked,
        input=[
            {"role": "user", "content": "Repair fizz"},
            *(item.model_dump(exclude_none=True) for item in first.output),
            output,
        ],
    )
    for response in (linked, resent):
        record = record_of(server, response.id)
        assert record.turn == 1
        assert record.tool_result_ids == (call.call_id,)


def test_models_are_listed(server: StandIn) -> None:
    assert "gpt-4o-mini" in [model.id for model in openai.OpenAI().models.list()]
    assert "claude-sonnet-4-6" in [model.id for model in anthropic.Anthropic().models.list()]
    assert openai.OpenAI().models.retrieve("gpt-5-mini").id == "gpt-5-mini"
    with pytest.raises(openai.NotFoundError):
        openai.OpenAI().models.retrieve("no-such-model")
