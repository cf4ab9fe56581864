from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from collector.llm.model import LlmRequest, LlmResponse, Usage
from collector.llm.registry import match
from tests.collector.llm.wire import JSON, api, decode, mutated, post, response

RERANK = api("/v2/rerank")
COHERE = {
    "id": "07734bd2",
    "results": [{"index": 3, "relevance_score": 0.99}, {"index": 0, "relevance_score": 0.1}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
}
ORDER = {"results": COHERE["results"]}


def test_cohere_bills_searches() -> None:
    found = decode(RERANK, json.dumps(COHERE).encode(), head=response(JSON))
    assert found == LlmResponse(response_id="07734bd2", output=(ORDER,), complete=True)


@pytest.mark.parametrize("key", ["results", "data"])  # Jina and vLLM, Voyage
def test_others_count_tokens(key: str) -> None:
    results = [{**one, "document": {"text": "long"}} for one in COHERE["results"]]  # type: ignore[dict-item]
    body = {"model": "rerank-2.5", key: results, "usage": {"total_tokens": 26}}
    found = decode(RERANK, json.dumps(body).encode(), head=response(JSON))
    assert found == LlmResponse(
        model="rerank-2.5",
        output=(ORDER,),
        usage=Usage(input_tokens=26, output_tokens=0),
        complete=True,
    )


def test_request() -> None:
    body = {"model": "rerank-v3.5", "query": "capital", "documents": ["a", {"text": "b"}]}
    found = RERANK.parse_request(post("/v2/rerank"), json.dumps({**body, "top_n": 1}).encode())
    message = {"role": "user", "content": "capital", "documents": ["a", {"text": "b"}]}
    assert found == LlmRequest(
        request_model="rerank-v3.5", stream=False, messages=(message,), params={"top_n": 1}
    )
    assert RERANK.parse_request(post("/v2/rerank"), b'{"query": "a"}') is None
    assert RERANK.operation == "rerank"


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/api/v1/rerank"])
def test_paths(path: str) -> None:
    assert match(post(path)) is RERANK


@given(mutated([COHERE, {"query": "q", "documents": ["a"]}]))
def test_mutated_bodies_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        decode(RERANK, json.dumps(body).encode(), head=response(JSON))
        RERANK.parse_request(post("/v2/rerank"), json.dumps(body).encode())
