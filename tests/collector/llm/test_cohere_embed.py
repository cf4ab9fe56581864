from __future__ import annotations

import json
from typing import Any

import cohere
import httpx
import pytest
from hypothesis import given

from collector.llm.model import LlmError, LlmRequest, LlmResponse, Usage
from tests.collector.llm.wire import JSON, api, decode, mutated, post, response

EMBED = api("/v2/embed")
BODY = {
    "id": "5807ee2e",
    "embeddings": {"float": [[0.1, 0.2]]},
    "texts": ["hello"],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 2}},
    "response_type": "embeddings_by_type",
}


def request(body: Any) -> LlmRequest | None:
    return EMBED.parse_request(post("/v2/embed"), json.dumps(body).encode())


def test_response_keeps_no_vectors() -> None:
    found = decode(EMBED, json.dumps(BODY).encode(), head=response(JSON))
    assert found == LlmResponse(
        response_id="5807ee2e", usage=Usage(input_tokens=2, output_tokens=0), complete=True
    )


def test_images_are_billed_apart() -> None:
    body = {**BODY, "meta": {"billed_units": {"input_tokens": 2.0, "image_tokens": 30.0}}}
    found = decode(EMBED, json.dumps(body).encode(), head=response(JSON))
    assert found.usage == Usage(input_tokens=32, output_tokens=0)


def test_reads_what_the_sdk_reads() -> None:
    sent: list[bytes] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        sent.append(asked.content)
        return httpx.Response(200, json=BODY)

    client = cohere.ClientV2(
        api_key="k", httpx_client=httpx.Client(transport=httpx.MockTransport(answer))
    )
    theirs = client.embed(
        model="embed-v4.0", texts=["hello"], input_type="search_query", embedding_types=["float"]
    )
    found = EMBED.parse_request(post("/v2/embed"), sent[0])
    assert found == LlmRequest(
        request_model="embed-v4.0",
        stream=False,
        messages=({"role": "user", "content": "hello"},),
        params={"input_type": "search_query", "embedding_types": ["float"]},
    )
    assert decode(EMBED, json.dumps(BODY).encode(), head=response(JSON)).response_id == theirs.id


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("images", ["data:image/png;base64,aGk="], {"content": "data:image/png;base64,aGk="}),
        (
            "inputs",
            [{"content": [{"type": "text", "text": "a"}]}],
            {"content": [{"type": "text", "text": "a"}]},
        ),
    ],
)
def test_request(field: str, value: Any, message: Any) -> None:
    found = request({"model": "m", "input_type": "image", field: value})
    assert found is not None
    assert found.messages == ({"role": "user", **message},)


def test_no_request() -> None:
    assert request({"model": "m"}) is None
    assert request({"texts": ["a"]}) is None


def test_error_body() -> None:
    found = decode(EMBED, b'{"message": "no such model"}', head=response(JSON, 404))
    assert found.error == LlmError("404", "no such model")


@given(mutated([BODY, {"model": "m", "texts": ["a"], "inputs": [{"content": []}]}]))
def test_mutated_bodies_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        decode(EMBED, json.dumps(body).encode(), head=response(JSON))
        request(body)
