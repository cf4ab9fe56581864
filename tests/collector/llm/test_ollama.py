from __future__ import annotations

import json
from typing import Any

import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.llm.api import Api
from collector.llm.model import LlmError, LlmRequest, ToolResult, Usage
from collector.llm.ollama import OllamaChat, OllamaEmbeddings, OllamaGenerate
from tests.collector.llm.wire import REQUEST, api, decode, mutated, post, response

CHAT, GENERATE, EMBED = OllamaChat(), OllamaGenerate(), OllamaEmbeddings()
LINES = response("application/x-ndjson")
JSON = response("application/json; charset=utf-8")


def parse(one: Api, body: dict[str, Any]) -> LlmRequest:
    found = one.parse_request(post("/"), json.dumps(body).encode())
    assert found is not None
    return found


def lines(*events: dict[str, Any], end: str = "\n") -> bytes:
    return "".join(json.dumps(one) + end for one in events).encode()


def part(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "model": "llama3.2",
        "created_at": "2025-10-26T17:15:24.1Z",
        "message": {"role": "assistant", "content": "", **message},
        "done": False,
        **fields,
    }


DONE: dict[str, Any] = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 4_883_583_458,
    "prompt_eval_count": 26,
    "eval_count": 282,
}
CALLS: list[dict[str, Any]] = [
    {"function": {"name": "ls", "arguments": {"dir": "/"}}},
    {"id": "call_9", "function": {"index": 1, "name": "pwd", "arguments": {}}},
]
STREAM: list[dict[str, Any]] = [
    part({"thinking": "Hmm, "}),
    part({"thinking": "well."}),
    part({"content": "Let me "}),
    part({"content": "see.\n"}),
    part({"tool_calls": CALLS[:1]}),
    part({"tool_calls": CALLS[1:]}),
    part({}, **DONE),
]
MESSAGE = {
    "role": "assistant",
    "content": "Let me see.\n",
    "thinking": "Hmm, well.",
    "tool_calls": CALLS,
}


@pytest.mark.parametrize(
    ("target", "name", "operation"),
    [
        ("/api/chat", "ollama.chat", "chat"),
        ("/ollama/api/chat", "ollama.chat", "chat"),
        ("/api/generate", "ollama.generate", "text_completion"),
        ("/api/embed", "ollama.embeddings", "embeddings"),
        ("/api/embeddings", "ollama.embeddings", "embeddings"),
    ],
)
def test_paths(target: str, name: str, operation: str) -> None:
    found = api(target)
    assert (found.name, found.operation, found.native_provider) == (name, operation, "ollama")


@pytest.mark.parametrize("target", ["/api/tags", "/api/show", "/api/chats", "/api/pull"])
def test_other_paths_do_not_match(target: str) -> None:
    assert not any(one.matches(post(target)) for one in (CHAT, GENERATE, EMBED))


def test_chat_request() -> None:
    system = {"role": "system", "content": "be brief"}
    user = {"role": "user", "content": "hi", "images": ["AA=="]}
    tool = {"type": "function", "function": {"name": "ls"}}
    body = {
        "model": "llama3.2",
        "messages": [system, user],
        "tools": [tool],
        "options": {"temperature": 0},
        "keep_alive": "5m",
    }
    request = parse(CHAT, body)
    assert (request.request_model, request.stream) == ("llama3.2", True)
    assert (request.system, request.messages, request.tools) == ((system,), (user,), (tool,))
    assert request.params == {"options": {"temperature": 0}, "keep_alive": "5m"}
    assert not parse(CHAT, {**body, "stream": False}).stream


def test_generate_request() -> None:
    request = parse(
        GENERATE,
        {
            "model": "llama3.2",
            "prompt": "why?",
            "system": "be brief",
            "images": ["AA=="],
            "context": [1, 2, 3],
            "raw": False,
        },
    )
    assert (request.request_model, request.stream) == ("llama3.2", True)
    assert request.messages == ({"role": "user", "content": "why?", "images": ["AA=="]},)
    assert request.system == ({"role": "system", "content": "be brief"},)
    assert request.params == {"raw": False, "context_count": 3}


def test_embed_request() -> None:
    assert parse(EMBED, {"model": "e", "input": ["a", "b"], "truncate": True}) == LlmRequest(
        request_model="e",
        stream=False,
        messages=({"role": "user", "content": "a"}, {"role": "user", "content": "b"}),
        params={"truncate": True},
    )
    for body in ({"model": "e", "input": "a"}, {"model": "e", "prompt": "a"}):
        assert parse(EMBED, body).messages == ({"role": "user", "content": "a"},)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"model": "m"}', b'{"model": "m", "messages": [], "prompt": ""}',
     b'{"messages": [{"role": "user"}], "prompt": "a", "input": "a"}'],
)  # fmt: skip
def test_requests_that_load_a_model_and_other_bodies_are_no_calls(body: bytes) -> None:
    for one in (CHAT, GENERATE, EMBED):
        assert one.parse_request(post("/api/chat"), body) is None


@given(cuts=st.lists(st.integers(0, 900), max_size=20), end=st.sampled_from(("\n", "\r\n", "\n\n")))
def test_stream(cuts: list[int], end: str) -> None:
    found = decode(CHAT, lines(*STREAM, end=end), head=LINES, cuts=cuts)
    assert found.output == (MESSAGE,)
    assert (found.model, found.response_id, found.finish_reason) == ("llama3.2", None, "stop")
    assert found.usage == Usage(input_tokens=26, output_tokens=282)
    assert [(call.tool_call_id, call.name, call.arguments) for call in found.tool_calls] == [
        (None, "ls", '{"dir":"/"}'),
        ("call_9", "pwd", "{}"),
    ]
    assert found.complete
    assert found.chunk_ns == (1_000,) * 6


def test_times_and_the_last_line_without_an_end() -> None:
    decoder = CHAT.response_decoder(LINES, REQUEST)
    for number, one in enumerate(STREAM):
        decoder.feed(lines(one).rstrip() if one is STREAM[-1] else lines(one), 1_000 + number)
    assert not decoder.snapshot().complete
    found = decoder.finish(complete=True)
    assert found.chunk_ns == (1_000, 1_001, 1_002, 1_003, 1_004, 1_005)
    assert [call.requested_ns for call in found.tool_calls] == [1_004, 1_005]
    assert found.complete


def test_a_whole_body_says_the_same_as_the_stream() -> None:
    whole = part(MESSAGE, **DONE)
    found = decode(CHAT, json.dumps(whole).encode(), head=JSON)
    streamed = decode(CHAT, lines(*STREAM), head=LINES)
    assert (found.output, found.usage, found.model) == (
        streamed.output,
        streamed.usage,
        streamed.model,
    )
    assert (found.first_token_ns, found.complete) == (None, True)


def test_generate() -> None:
    said: list[dict[str, Any]] = [{"response": "a", "done": False}, {"response": "b"}]
    done: dict[str, Any] = {
        "model": "m",
        "response": "",
        "context": [1, 2],
        **DONE,
        "done_reason": "length",
    }
    found = decode(GENERATE, lines({"thinking": "t"}, *said, done), head=LINES)
    assert found.output == ({"role": "assistant", "content": "ab", "thinking": "t"},)
    assert (found.finish_reason, found.complete) == ("length", True)


def test_missing_counts_are_not_known() -> None:
    done = {key: value for key, value in DONE.items() if key != "prompt_eval_count"}
    found = decode(CHAT, lines(part({"content": "a"}), part({}, **done)), head=LINES)
    assert found.usage == Usage(output_tokens=282)
    assert decode(CHAT, lines(part({}, done=True)), head=LINES).usage is None


@pytest.mark.parametrize(
    "body",
    [{"model": "e", "embeddings": [[0.1, 0.2]], "prompt_eval_count": 8}, {"embedding": [0.1]}],
)
def test_vectors_are_not_kept(body: dict[str, Any]) -> None:
    found = decode(EMBED, json.dumps(body).encode(), head=JSON)
    assert (found.output, found.complete, found.model) == ((), True, body.get("model"))
    counted = body.get("prompt_eval_count")
    assert found.usage == (counted and Usage(input_tokens=counted, output_tokens=0))


@pytest.mark.parametrize("one", [CHAT, GENERATE, EMBED])
def test_errors(one: Api) -> None:
    body = b'{"error":"model \\"x\\" not found"}'
    found = decode(one, body, head=response("application/json", 404))
    assert found.error == LlmError("404", 'model "x" not found')


def test_an_error_in_a_stream() -> None:
    found = decode(CHAT, lines(STREAM[2], {"error": "out of memory"}), head=LINES)
    assert found.error == LlmError("error", "out of memory")
    assert found.output == ({"role": "assistant", "content": "Let me "},)


def test_a_cut_stream() -> None:
    found = decode(CHAT, lines(*STREAM[:3])[:-5], head=LINES, complete=False)
    assert found.output == ({"role": "assistant", "content": "", "thinking": "Hmm, well."},)
    assert (found.complete, found.finish_reason, found.usage) == (False, None, None)


# Calls and results


def made(*messages: dict[str, Any]) -> list[str | None]:
    request = parse(CHAT, {"model": "m", "messages": messages})
    decoder = CHAT.response_decoder(LINES, request)
    decoder.feed(lines(part({"tool_calls": CALLS}, **DONE)), 1)
    return [call.match_id for call in decoder.finish(complete=True).tool_calls]


def results(*messages: dict[str, Any]) -> tuple[ToolResult, ...]:
    return tuple(parse(CHAT, {"model": "m", "messages": messages}).tool_results)


ASK = {"role": "user", "content": "go"}
WITHOUT_IDS = [{"function": {**call["function"]}} for call in CALLS]


def test_results_by_name() -> None:
    ls, pwd = made(ASK)
    assert ls is not None
    assert pwd is not None
    asked = {"role": "assistant", "content": "", "tool_calls": WITHOUT_IDS}
    told = [
        {"role": "tool", "content": "/home", "tool_name": "pwd"},
        {"role": "tool", "content": "a b", "tool_name": "ls"},
    ]
    expected = (ToolResult(None, "/home", None, pwd), ToolResult(None, "a b", None, ls))
    assert results(ASK, asked, *told) == expected
    again = made(ASK, asked, *told)
    assert not {ls, pwd} & set(again)
    assert [one.match_id for one in results(ASK, asked, *told, asked, *told)] == [
        pwd, ls, again[1], again[0],
    ]  # fmt: skip


def test_results_by_id_and_by_order() -> None:
    asked = {"role": "assistant", "content": "", "tool_calls": CALLS}
    by_id = {"role": "tool", "content": "/home", "tool_call_id": "call_9"}
    assert results(ASK, asked, by_id)[0].tool_call_id == "call_9"
    bare = {"role": "tool", "content": "a b"}
    first, second = results(ASK, asked, bare, bare)
    assert (first.tool_call_id, first.match_id) == (None, made(ASK)[0])
    assert (second.tool_call_id, second.match_id) == ("call_9", made(ASK)[1])
    assert results(ASK, bare) == ()


def test_the_sdk_reads_the_output_as_a_message() -> None:
    found = decode(CHAT, lines(*STREAM), head=LINES)
    message = ollama.Message.model_validate(found.output[0])
    assert (message.content, message.thinking) == ("Let me see.\n", "Hmm, well.")
    assert message.tool_calls is not None
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls] == [
        (call.name, json.loads(call.arguments)) for call in found.tool_calls
    ]


@given(events=mutated(STREAM), cuts=st.lists(st.integers(0, 900), max_size=5))
def test_mutations_never_raise_and_never_change_with_the_split(
    events: list[Any], cuts: list[int]
) -> None:
    body = "".join(json.dumps(one) + "\n" for one in events).encode()
    assert decode(CHAT, body, head=LINES, cuts=cuts) == decode(CHAT, body, head=LINES)
    for one in events:
        for each in (CHAT, GENERATE, EMBED):
            decode(each, json.dumps(one).encode(), head=JSON)


REQUESTS = [
    {
        "model": "m",
        "prompt": "a",
        "input": ["a"],
        "messages": [ASK, MESSAGE, {"role": "tool", "content": "x", "tool_name": "ls"}],
        "context": [1],
    }
]


@given(bodies=mutated(REQUESTS))
def test_mutated_requests_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        for one in (CHAT, GENERATE, EMBED):
            found = one.parse_request(post("/api/chat"), json.dumps(body).encode())
            if found is not None:
                one.response_decoder(LINES, found).feed(lines(*STREAM), 1)
            if isinstance(body, dict):
                one.has_shape(body)
