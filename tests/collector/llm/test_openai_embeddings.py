from __future__ import annotations

import base64
import json
import struct
from typing import Any

import openai
import pytest
from hypothesis import given

from collector.llm.model import LlmError, LlmRequest, LlmResponse, Usage
from tests.collector.llm.wire import JSON, api, decode, mutated, post, response, transport

EMBEDDINGS = api("/v1/embeddings")
VECTOR = base64.b64encode(struct.pack("<3f", 0.1, 0.2, 0.3)).decode()
BODY = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": VECTOR}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}


def request(body: Any) -> LlmRequest | None:
    return EMBEDDINGS.parse_request(post("/v1/embeddings"), json.dumps(body).encode())


def test_response_keeps_no_vectors() -> None:
    found = decode(EMBEDDINGS, json.dumps(BODY).encode(), head=response(JSON))
    assert found == LlmResponse(
        model="text-embedding-3-small",
        usage=Usage(input_tokens=8, output_tokens=0),
        complete=True,
    )


def test_reads_what_the_sdk_reads() -> None:
    body = json.dumps(BODY).encode()
    client = openai.OpenAI(
        api_key="k",
        http_client=openai.DefaultHttpxClient(transport=transport(body, JSON)),
    )
    theirs = client.embeddings.create(model="text-embedding-3-small", input="Hi")
    ours = decode(EMBEDDINGS, body, head=response(JSON))
    assert ours.usage is not None
    assert (ours.model, ours.usage.input_tokens) == (theirs.model, theirs.usage.prompt_tokens)


@pytest.mark.parametrize(
    ("field", "value", "messages"),
    [
        ("input", "Hi", ({"role": "user", "content": "Hi"},)),
        ("input", ["a", "b"], ({"role": "user", "content": "a"}, {"role": "user", "content": "b"})),
        ("input", [1, 2], ({"role": "user", "tokens": [1, 2]},)),
        ("input", [[1], [2]], ({"role": "user", "tokens": [1]}, {"role": "user", "tokens": [2]})),
        ("inputs", ["a"], ({"role": "user", "content": "a"},)),
        (
            "input",
            [{"type": "text", "text": "a"}],
            ({"role": "user", "type": "text", "text": "a"},),
        ),
    ],
)
def test_request(field: str, value: Any, messages: Any) -> None:
    assert request({"model": "m", field: value, "dimensions": 3}) == LlmRequest(
        request_model="m", stream=False, messages=messages, params={"dimensions": 3}
    )


def test_azure_names_no_model() -> None:
    found = request({"input": "Hi"})
    assert found is not None
    assert found.request_model is None


def test_no_request() -> None:
    assert request({"model": "m"}) is None
    assert request([]) is None


def test_error_body() -> None:
    error = {"error": {"message": "no", "type": "invalid_request_error", "code": None}}
    found = decode(EMBEDDINGS, json.dumps(error).encode(), head=response(JSON, 400))
    assert found.error == LlmError("invalid_request_error", "no")


@given(mutated([BODY]))
def test_mutated_bodies_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        decode(EMBEDDINGS, json.dumps(body).encode(), head=response(JSON))
        request(body)
