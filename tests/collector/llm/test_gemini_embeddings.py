from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from collector.llm.gemini_embeddings import GeminiEmbeddings
from collector.llm.model import LlmRequest, Usage
from tests.collector.llm.wire import api, decode, mutated, post, response

EMBEDDINGS = GeminiEmbeddings()
OLD = "/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict"
NEW = "/v1beta/models/gemini-embedding-001"
JSON = response("application/json")
TEXTS = [{"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}]
BATCH = {
    "requests": [
        {"model": "models/gemini-embedding-001", "content": one, "taskType": "CLUSTERING"}
        for one in TEXTS
    ]
}
INSTANCES = {
    "instances": [{"content": "a", "task_type": "CLUSTERING"}],
    "parameters": {"outputDimensionality": 8},
}


def parse(body: Any, target: str) -> LlmRequest:
    assert api(target).name == "gemini.embeddings"
    found = EMBEDDINGS.parse_request(post(target), json.dumps(body).encode())
    assert found is not None
    return found


def test_requests() -> None:
    one = parse({"content": TEXTS[0], "taskType": "CLUSTERING"}, f"{NEW}:embedContent")
    assert (one.request_model, one.stream) == ("gemini-embedding-001", False)
    assert (list(one.messages), one.params) == (TEXTS[:1], {"taskType": "CLUSTERING"})
    batch = parse(BATCH, f"{NEW}:batchEmbedContents")
    assert (batch.request_model, list(batch.messages)) == ("gemini-embedding-001", TEXTS)
    assert batch.params == {"requests": [{"taskType": "CLUSTERING"}] * 2}
    vertex = parse(INSTANCES, OLD)
    assert vertex.request_model == "text-embedding-005"
    assert vertex.messages == ({"content": "a", "task_type": "CLUSTERING"},)
    assert vertex.params == {"parameters": {"outputDimensionality": 8}}


@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/resnet:predict",  # TensorFlow Serving
        "/v1/projects/p/locations/l/endpoints/12:predict",
        "/v1/projects/p/locations/l/publishers/google/models/imagen-4.0-generate-001:predict",
    ],
)
def test_other_predictions_do_not_match(target: str) -> None:
    assert not EMBEDDINGS.matches(post(target))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"contents": []}'])
def test_other_bodies_are_no_request(body: bytes) -> None:
    assert EMBEDDINGS.parse_request(post(f"{NEW}:embedContent"), body) is None


PREDICTED = {
    "predictions": [
        {"embeddings": {"values": [0.1], "statistics": {"token_count": 4.0, "truncated": False}}},
        {"embeddings": {"values": [0.2], "statistics": {"token_count": 3}}},
    ],
    "metadata": {"billableCharacterCount": 11},
}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"embedding": {"values": [0.1]}}, None),
        ({"embeddings": [{"values": [0.1]}, {"values": [0.2]}]}, None),
        ({"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 5}}, 5),
        ({"embeddings": [{"values": [0.1], "statistics": {"tokenCount": 2}}]}, 2),
        ({"embeddings": [{"statistics": {"tokenCount": 2}}, {"values": []}]}, None),
        (PREDICTED, 7),
    ],
)
def test_responses(body: Any, tokens: int | None) -> None:
    found = decode(EMBEDDINGS, json.dumps(body).encode(), head=JSON)
    assert (found.output, found.complete) == ((), True)
    expected = None if tokens is None else Usage(input_tokens=tokens, output_tokens=0)
    assert found.usage == expected


def test_errors() -> None:
    body = {"error": {"code": 400, "message": "Too long.", "status": "INVALID_ARGUMENT"}}
    found = decode(EMBEDDINGS, json.dumps(body).encode(), head=response("application/json", 400))
    assert found.error is not None
    assert (found.error.error_type, found.error.message) == ("INVALID_ARGUMENT", "Too long.")


@given(bodies=mutated([BATCH, INSTANCES, {"content": TEXTS[0]}]))
def test_mutated_requests_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        EMBEDDINGS.parse_request(post(OLD), json.dumps(body).encode())
        if isinstance(body, dict):
            EMBEDDINGS.has_shape(body)


@given(bodies=mutated([PREDICTED, {"embeddings": [{"values": [1.0]}]}]))
def test_mutated_responses_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        decode(EMBEDDINGS, json.dumps(body).encode(), head=JSON)
