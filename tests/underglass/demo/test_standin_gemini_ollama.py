"""Gemini and Ollama: their SDKs as oracles, and the streams that the SDKs do not show."""

from __future__ import annotations

import hashlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import google.genai
import ollama
import pytest
from google.genai import errors

from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn

Running = Callable[[str], StandIn]
TURNS = ("plain", "one", "parallel", "silent", "shell", "handoff")
NAMES = ("get_weather", "get_time", "transfer_to_human", "bash")
PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}}
GEMINI_TOOLS = [
    {"function_declarations": [{"name": n, "parameters_json_schema": PARAMETERS} for n in NAMES]}
]
OLLAMA_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": PARAMETERS}} for name in NAMES
]


@pytest.fixture
def server(running: Running, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    server = running("tools")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return server


def gemini() -> Any:
    return google.genai.Client(api_key="dummy")


def local(server: StandIn) -> Any:
    context = ssl.create_default_context(cafile=str(server.ca_path))
    return ollama.Client(host=server.base_url, verify=context)


def newest(server: StandIn, before: int) -> LedgerRecord:
    return server.ledger(at_least=before + 1)[before]


def check_text(record: LedgerRecord, text: str) -> None:
    assert record.text_sha256 == (hashlib.sha256(text.encode()).hexdigest() if text else None)


def fetch(server: StandIn, path: str, body: Any = None) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    data = None if body is None else json.dumps(body).encode()
    context = ssl.create_default_context(cafile=str(server.ca_path))
    try:
        with urllib.request.urlopen(server.base_url + path, data, context=context) as response:
            return response.status, response.headers["content-type"], response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read()


@pytest.mark.parametrize("turn", TURNS)
def test_gemini(server: StandIn, turn: str) -> None:
    asked = {
        "model": "gemini-2.5-flash",
        "contents": f"turn={turn}",
        "config": {"tools": GEMINI_TOOLS, "automatic_function_calling": {"disable": True}},
    }
    client = gemini()
    before = len(server.ledger())
    whole = [client.models.generate_content(**asked)]
    streamed = list(client.models.generate_content_stream(**asked))
    records = server.ledger(at_least=before + 2)[before:]
    for record, responses in zip(records, (whole, streamed), strict=True):
        last = responses[-1]
        assert (record.api, record.streamed) == ("gemini", responses is streamed)
        assert {response.response_id for response in responses} == {record.response_id}
        assert (record.request_model, record.model) == ("gemini-2.5-flash", last.model_version)
        assert record.request_id is None
        assert record.finish_reason == last.candidates[0].finish_reason.value == "STOP"
        usage = last.usage_metadata
        assert record.usage is not None
        assert record.usage.input_tokens == usage.prompt_token_count
        thoughts = usage.thoughts_token_count
        assert record.usage.output_tokens == usage.candidates_token_count + (thoughts or 0)
        assert record.usage.reasoning_tokens == thoughts
        assert record.usage.cache_read_tokens == usage.cached_content_token_count
        assert usage.total_token_count == usage.prompt_token_count + record.usage.output_tokens
        parts = [part for response in responses for part in response.candidates[0].content.parts]
        calls = [part.function_call for part in parts if part.function_call]
        assert [
            (call.tool_call_id, call.name, json.loads(call.arguments)) for call in record.tool_calls
        ] == [(call.id, call.name, call.args) for call in calls]
        check_text(record, "".join(part.text or "" for part in parts if not part.thought))
        thought = "".join(part.text for part in parts if part.thought)
        assert bool(thought) == (turn == "one")
    assert records[1].content_events == len(streamed) - 1


def test_gemini_streams_an_array_without_sse(server: StandIn) -> None:
    before = len(server.ledger())
    question = {"contents": [{"parts": [{"text": "turn=parallel"}]}]}
    question["tools"] = [{"functionDeclarations": [{"name": "get_time"}]}]
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    status, content_type, body = fetch(server, path, question)
    assert (status, content_type) == (200, "application/json; charset=UTF-8")
    elements = json.loads(body)
    record = newest(server, before)
    assert record.streamed
    assert record.response_body_sha256 == hashlib.sha256(body).hexdigest()
    names = [
        part["functionCall"]["name"]
        for element in elements
        for part in element["candidates"][0]["content"]["parts"]
        if "functionCall" in part
    ]
    assert names == [call.name for call in record.tool_calls] == ["get_weather"] * 2 + ["get_time"]
    assert elements[-1]["usageMetadata"]["candidatesTokenCount"] == 140


def test_gemini_function_responses_move_a_conversation_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = running("swe")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    client = gemini()
    chat = client.chats.create(
        model="gemini-2.5-flash",
        config={"tools": GEMINI_TOOLS, "automatic_function_calling": {"disable": True}},
    )
    before = len(server.ledger())
    (call,) = chat.send_message("Repair fizz").function_calls
    assert call.args == {"command": "ls -la"}
    result = google.genai.types.FunctionResponse(id=call.id, name=call.name, response={"out": "x"})
    chat.send_message(google.genai.types.Part(function_response=result))
    first, second = server.ledger(at_least=before + 2)[before:]
    assert (first.turn, second.turn) == (0, 1)
    assert second.tool_result_ids == (first.tool_calls[0].tool_call_id,)


def test_gemini_counts_lists_and_errors(
    server: StandIn, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(server.ledger())
    client = gemini()
    counted = client.models.count_tokens(model="gemini-2.5-flash", contents="How many?")
    assert counted.total_tokens > 0
    record = newest(server, before)
    assert (record.api, record.request_model) == ("gemini.count_tokens", "gemini-2.5-flash")
    assert "models/gpt-4o-mini" in [model.name for model in client.models.list()]
    assert client.models.get(model="gpt-4o-mini").display_name == "gpt-4o-mini"
    broken = running("errors")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", broken.base_url)
    monkeypatch.setenv("SSL_CERT_FILE", str(broken.bundle_path))
    before = len(broken.ledger())
    client = gemini()
    with pytest.raises(errors.ClientError) as refused:
        client.models.generate_content(model="m", contents="turn=rate-limit-always")
    assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
    record = newest(broken, before)
    assert (record.status, record.error_type) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(errors.APIError, match="Overloaded"):
        list(client.models.generate_content_stream(model="m", contents="turn=stream-error"))
    record = broken.ledger(at_least=before + 2)[before + 1]
    assert (record.error_kind, record.finish_reason) == ("stream_error", None)


@pytest.mark.parametrize("turn", TURNS)
def test_ollama_chat(server: StandIn, turn: str) -> None:
    asked = {
        "model": "qwen3:8b",
        "messages": [{"role": "user", "content": f"turn={turn}"}],
        "tools": OLLAMA_TOOLS,
    }
    before = len(server.ledger())
    whole = [local(server).chat(**asked)]
    streamed = list(local(server).chat(**asked, stream=True))
    records = server.ledger(at_least=before + 2)[before:]
    for record, responses in zip(records, (whole, streamed), strict=True):
        last = responses[-1]
        assert (record.api, record.streamed) == ("ollama.chat", responses is streamed)
        assert (record.response_id, record.request_id) == (None, None)
        assert [response.done for response in responses] == [False] * (len(responses) - 1) + [True]
        assert (record.model, record.finish_reason) == (last.model, last.done_reason)
        assert record.usage is not None
        assert record.usage.input_tokens == last.prompt_eval_count
        assert record.usage.output_tokens == last.eval_count
        calls = [call for response in responses for call in response.message.tool_calls or ()]
        assert [(call.name, json.loads(call.arguments)) for call in record.tool_calls] == [
            (call.function.name, call.function.arguments) for call in calls
        ]
        check_text(record, "".join(response.message.content for response in responses))
        thought = "".join(response.message.thinking or "" for response in responses)
        assert bool(thought) == (turn == "one")


def test_ollama_tool_results_move_a_conversation_on(running: Running) -> None:
    server = running("swe")
    client = local(server)
    before = len(server.ledger())
    messages: list[Any] = [{"role": "user", "content": "Repair fizz"}]
    message = client.chat("qwen3:8b", messages, tools=OLLAMA_TOOLS).message
    assert message.tool_calls[0].function.arguments == {"command": "ls -la"}
    messages += [message, {"role": "tool", "content": "fizz.py", "tool_name": "bash"}]
    client.chat("qwen3:8b", messages, tools=OLLAMA_TOOLS)
    _, second = server.ledger(at_least=before + 2)[before:]
    assert (second.turn, second.tool_result_ids) == (1, ("bash",))


def test_ollama_generate_is_ndjson(server: StandIn) -> None:
    before = len(server.ledger())
    question = {"model": "qwen3:8b", "prompt": "turn=plain"}
    status, content_type, body = fetch(server, "/api/generate", question)
    assert (status, content_type) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in body.splitlines()]
    record = newest(server, before)
    assert (record.api, record.streamed) == ("ollama.generate", True)
    check_text(record, "".join(line["response"] for line in lines))
    assert lines[-1]["done_reason"] == "stop"
    assert lines[-1]["created_at"].startswith("20")
    assert local(server).generate("qwen3:8b", "turn=plain").response == "No tool is needed."


def test_ollama_lists_shows_and_errors(server: StandIn, running: Running) -> None:
    client = local(server)
    assert "gpt-4o-mini" in [model.model for model in client.list().models]
    assert "tools" in client.show("gpt-4o-mini").capabilities
    with pytest.raises(ollama.ResponseError) as missing:
        client.show("no-such-model")
    assert missing.value.status_code == 404
    assert json.loads(fetch(server, "/api/version")[2])["version"]
    assert fetch(server, "/") == (200, "text/plain; charset=utf-8", b"Ollama is running")
    broken = running("errors")
    with pytest.raises(ollama.ResponseError, match="Overloaded"):
        local(broken).chat("m", [{"role": "user", "content": "turn=overloaded"}])
    question = [{"role": "user", "content": "turn=stream-error"}]
    with pytest.raises(ollama.ResponseError, match="Overloaded"):
        list(local(broken).chat("m", question, stream=True))
    last = broken.ledger(at_least=2)[-1]
    assert (last.error_kind, last.error_type, last.finish_reason) == ("stream_error", "500", None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1beta/models/m:generateContent", {"no": "contents"}),
        ("/v1beta/models/m:embedContent", {}),
        ("/api/chat", {"messages": []}),
        ("/api/embed", {}),
    ],
)
def test_what_is_not_understood_is_refused_in_the_apis_own_words(
    server: StandIn, path: str, body: Any
) -> None:
    status, _, answer = fetch(server, path, body)
    assert status in (400, 404)
    error = json.loads(answer)["error"]
    assert isinstance(error, str) if path.startswith("/api") else error["code"] == status
