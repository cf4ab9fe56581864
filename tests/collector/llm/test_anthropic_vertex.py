from __future__ import annotations

import json

import pytest

from collector.llm.anthropic_vertex import AnthropicVertex
from collector.llm.model import Usage
from tests.collector.llm.wire import api, decode, post, response, sse

VERTEX = AnthropicVertex()
MODEL = "/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4@20250514"
BODY = {
    "anthropic_version": "vertex-2023-10-16",
    "max_tokens": 9,
    "system": "be brief",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
}


@pytest.mark.parametrize("method", ["rawPredict", "streamRawPredict"])
def test_the_model_is_in_the_path(method: str) -> None:
    assert api(f"{MODEL}:{method}").name == "anthropic.vertex"
    request = VERTEX.parse_request(post(f"{MODEL}:{method}"), json.dumps(BODY).encode())
    assert request is not None
    assert request.request_model == "claude-sonnet-4@20250514"
    assert request.stream
    assert request.system == ({"type": "text", "text": "be brief"},)
    assert request.params["anthropic_version"] == "vertex-2023-10-16"


@pytest.mark.parametrize(
    "target",
    [
        "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
        "/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict",
        "/v1/projects/p/locations/l/endpoints/12:rawPredict",
        f"{MODEL}:predict",
    ],
)
def test_other_paths_do_not_match(target: str) -> None:
    assert not VERTEX.matches(post(target))


def test_the_response_is_anthropics() -> None:
    body = {
        "id": "msg_vrtx_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-20250514",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 3},
    }
    whole = decode(VERTEX, json.dumps(body).encode(), head=response("application/json"))
    streamed = decode(
        VERTEX,
        sse(
            [
                {"type": "vertex_event"},
                {"type": "message_start", "message": {**body, "content": []}},
                {"type": "content_block_start", "index": 0,
                 "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": "hello"}},
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                 "usage": {"output_tokens": 3}},
                {"type": "message_stop"},
            ]
        ),
    )  # fmt: skip
    for found in (whole, streamed):
        assert (found.response_id, found.model) == ("msg_vrtx_1", "claude-sonnet-4-20250514")
        assert found.usage == Usage(input_tokens=15, output_tokens=3, cache_read_tokens=5)
        assert found.output == ({"role": "assistant", "content": body["content"]},)
        assert (found.finish_reason, found.complete) == ("end_turn", True)


def test_errors_are_googles() -> None:
    body = b'[{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}]'
    found = decode(VERTEX, body, head=response("application/json", 429))
    assert found.error is not None
    assert (found.error.error_type, found.error.message) == ("RESOURCE_EXHAUSTED", "Quota")
