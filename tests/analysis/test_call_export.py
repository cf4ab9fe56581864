"""A call as JSON and as a command."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from analysis.call_export import call_json, curl_command
from analysis.reading import CallDetail, Message
from analysis.result import ResultSet
from collector.http.events import RequestHead
from collector.llm.registry import match
from collector.raw_exchange import RawExchange, RawMessage
from tests.frames import API_KEY

TOOL = {"name": "bash", "input_schema": {"type": "object"}}
ASKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "anthropic.messages": (
        "anthropic",
        "/v1/messages",
        {
            "model": "m",
            "max_tokens": 10,
            "system": [{"type": "text", "text": "it's $HOME"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "a 'b' \"c\""}]}],
            "tools": [TOOL],
            "stream": True,
        },
    ),
    "openai.chat": (
        "groq",
        "/v1/chat/completions",
        {
            "model": "m",
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "temperature": 0,
            "stream": True,
        },
    ),
    "openai.responses": (
        "openai",
        "/v1/responses",
        {
            "model": "m",
            "instructions": "i",
            "input": [{"role": "user", "content": "u"}],
            "store": False,
            "stream": True,
        },
    ),
    "gemini": (
        "gcp.gemini",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        {
            "contents": [{"role": "user", "parts": [{"text": "u"}]}],
            "systemInstruction": {"parts": [{"text": "s"}]},
            "tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}],
            "generationConfig": {"temperature": 0},
        },
    ),
    "bedrock.converse": (
        "aws.bedrock",
        "/model/m/converse-stream",
        {
            "system": [{"text": "s"}],
            "messages": [{"role": "user", "content": [{"text": "u"}]}],
            "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}], "toolChoice": {"auto": {}}},
        },
    ),
    "cohere.chat": (
        "cohere",
        "/v2/chat",
        {"model": "m", "messages": [{"role": "user", "content": "u"}], "stream": True},
    ),
    "ollama.chat": (
        "ollama",
        "/api/chat",
        {"model": "m", "messages": [{"role": "user", "content": "u"}], "stream": True},
    ),
}


def stored(api: str) -> CallDetail:
    """What the store has of the request: as the wire format's own module splits it."""
    provider, path, body = ASKED[api]
    head = RequestHead(1, "POST", path, "1.1", (("host", "api.example.com"),))
    found = match(head)
    assert found is not None
    assert found.name == api
    request = found.parse_request(head, json.dumps(body).encode())
    assert request is not None
    said = [("system", one) for one in request.system]
    said += [("message", one) for one in request.messages]
    messages = tuple(
        Message(at, "input", kind, None, 1, f"h{at}", one) for at, (kind, one) in enumerate(said)
    )
    call = {
        "call_id": "c1",
        "api": api,
        "provider": provider,
        "host": "api.example.com",
        "request_model": request.request_model,
        "model": None,
        "stream": True,
        "params": request.params,
        "protocol": "http/1.1",
        "tls_stack": "openssl",
    }
    return CallDetail(call, messages, request.tools, ResultSet((), (), ()), ())


def shell(command: str, **variables: str) -> list[str]:
    """The arguments that a shell would give to curl."""
    script = 'curl() { for each in "$@"; do printf "%s\\0" "$each"; done; }\n' + command
    done = subprocess.run(["sh", "-c", script], env=variables, capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("api", ASKED)
def test_a_rebuilt_request_says_what_was_sent(api: str) -> None:
    _, path, body = ASKED[api]
    command = curl_command(stored(api))
    assert command.startswith("# call c1, rebuilt from the store: not exactly what was sent\n")
    arguments = shell(command, ANTHROPIC_API_KEY="K", GROQ_API_KEY="K", HOME="/wrong")
    assert arguments[4] == f"https://api.example.com{path}"
    assert json.loads(arguments[-1]) == body
    if api == "anthropic.messages":
        assert "x-api-key: K" in arguments
    if api == "openai.chat":
        assert "authorization: Bearer K" in arguments


def test_what_cannot_be_rebuilt_is_said() -> None:
    other = stored("openai.chat")
    command = curl_command(replace(other, call={**other.call, "api": "cohere.rerank"}))
    assert "cannot be rebuilt" in command
    assert "curl" not in command
    bare = replace(other, messages=tuple(replace(m, body=None) for m in other.messages))
    assert "the content was not stored" in curl_command(bare)
    chained = {**other.call, "params": {"previous_response_id": "r", "cache_control_count": 3}}
    notes = curl_command(replace(other, call=chained))
    assert "previous_response_id is left out" in notes
    assert "3 cache_control markers are left out" in notes


def raw(body: bytes, *headers: tuple[str, str], **changes: Any) -> RawExchange:
    message = RawMessage("POST /v1/x?y=1 HTTP/1.1", headers, body, len(body), None, False, True)
    return RawExchange("http/1.1", replace(message, **changes), None)


def test_with_raw_data_it_is_what_was_sent_but_for_credentials() -> None:
    detail = stored("openai.chat")
    mask = "[redacted:1a2b3c4d]" + "*" * (len(API_KEY) - 19)
    body = b'{"a": "it\'s $HOME and `x`", "b": [1,  2]}'
    exchange = raw(
        body,
        ("host", "api.example.com"),
        ("authorization", f"Bearer {mask}"),
        ("cookie", mask),
        ("content-length", "9"),
        ("x-odd", "a 'b' $HOME \\ `c`"),
    )
    command = curl_command(detail, exchange)
    assert command.startswith("# call c1, as it was sent\n")
    arguments = shell(command, GROQ_API_KEY="K", COOKIE="C")
    assert arguments[4] == "https://api.example.com/v1/x?y=1"
    headers = [value for flag, value in pairwise(arguments) if flag == "-H"]
    assert headers[:2] == ["authorization: Bearer K", "cookie: C"]
    assert headers[2] == "x-odd: a 'b' $HOME \\ `c`"
    assert arguments[-1].encode() == body
    cut = raw(body, body_bytes=len(body) + 1)
    for unfit in (cut, raw(b"\xff\xfe"), raw(body, complete=False), raw(b"a\0b")):
        assert "rebuilt from the store" in curl_command(detail, unfit)
    assert shlex.split(command, comments=True)[0] == "curl"


def test_json_holds_everything() -> None:
    record = json.loads(call_json(stored("anthropic.messages")))
    assert record["call_id"] == "c1"
    assert record["messages"][1]["body"]["role"] == "user"
    assert record["tools_offered"] == [TOOL]
