"""Answers in the words of each provider's reference, and answers that only look alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.events import RequestHead
from collector.llm.registry import PROVIDERS, match, match_request
from collector.llm.request_kinds import Facts
from tests.collector.llm.wire import anything

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"
GOOGLE = "generativelanguage.googleapis.com"
VERTEX = "us-central1-aiplatform.googleapis.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
PROJECT = "/v1/projects/p/locations/us-central1"
OPENAI_BATCH = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-1",
    "status": "in_progress",
    "request_counts": {"total": 100, "completed": 95, "failed": 5},
}
ANTHROPIC_BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
}
MISTRAL_BATCH = {
    "id": "b1", "object": "batch", "input_files": ["f1"], "status": "QUEUED",
    "model": "mistral-small-latest", "total_requests": 7,
}  # fmt: skip
VERTEX_JOB = {
    "name": "projects/1/locations/us-central1/batchPredictionJobs/9",
    "model": "publishers/google/models/gemini-2.5-flash",
    "state": "JOB_STATE_PENDING",
}
OPENAI_MODEL = {"id": "gpt-4o-mini", "object": "model", "created": 0, "owned_by": "openai"}
ANTHROPIC_MODEL = {"type": "model", "id": "claude-sonnet-4-6", "display_name": "Claude Sonnet 4.6"}
GEMINI_MODEL = {
    "name": "models/gemini-2.5-pro",
    "inputTokenLimit": 1048576,
    "supportedGenerationMethods": ["generateContent"],
}

CASES: list[tuple[str, str, str, Any, Any, str, str, Facts]] = [
    ("POST", ANTHROPIC, "/v1/messages/count_tokens?beta=true", {"model": "claude-sonnet-4-6"},
     {"input_tokens": 14}, "anthropic", "count_tokens", Facts("claude-sonnet-4-6", 14)),
    ("POST", OPENAI, "/v1/responses/input_tokens", {"model": "gpt-5"},
     {"object": "response.input_tokens", "input_tokens": 11}, "openai", "count_tokens",
     Facts("gpt-5", 11)),
    ("POST", GOOGLE, "/v1beta/models/gemini-2.5-pro:countTokens", {"contents": []},
     {"totalTokens": 31}, "gcp.gemini", "count_tokens", Facts(None, 31)),
    ("POST", "cloudcode-pa.googleapis.com", "/v1internal:countTokens", {"request": {}},
     {"totalTokens": 31}, "gcp.gemini", "count_tokens", Facts(None, 31)),
    ("POST", VERTEX, f"{PROJECT}/publishers/google/models/gemini-2.5-pro:countTokens", {},
     {"totalTokens": 31, "totalBillableCharacters": 96}, "gcp.gemini", "count_tokens",
     Facts(None, 31)),
    ("POST", VERTEX, f"{PROJECT}/publishers/anthropic/models/count-tokens:rawPredict",
     {"model": "claude-sonnet-4-6"}, {"input_tokens": 14}, "gcp.vertex_ai", "count_tokens",
     Facts("claude-sonnet-4-6", 14)),
    ("POST", BEDROCK, "/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/count-tokens", {},
     {"inputTokens": 8}, "aws.bedrock", "count_tokens", Facts(None, 8)),
    ("POST", "api.cohere.com", "/v1/tokenize", {"model": "command-a", "text": "hi"},
     {"tokens": [8466, 5169], "token_strings": ["h", "i"]}, "cohere", "count_tokens",
     Facts("command-a", 2)),
    ("POST", "localhost:8080", "/tokenize", {"content": "hi"}, {"tokens": [198, 14]}, "openai",
     "count_tokens", Facts(None, 2)),
    ("POST", "localhost:8000", "/tokenize", {"model": "qwen", "prompt": "hi"},
     {"count": 3, "max_model_len": 4096, "tokens": [1, 2, 3]}, "openai", "count_tokens",
     Facts("qwen", 3)),
    ("POST", "api.x.ai", "/v1/tokenize-text", {"model": "grok-4", "text": "hi"},
     {"token_ids": [{"token_id": 1}]}, "x_ai", "count_tokens", Facts("grok-4", 1)),
    ("GET", OPENAI, "/v1/models", {}, {"object": "list", "data": [OPENAI_MODEL]}, "openai",
     "list_models", Facts(item_count=1)),
    ("GET", OPENAI, "/v1/models/gpt-4o-mini", {}, OPENAI_MODEL, "openai", "get_model",
     Facts("gpt-4o-mini")),
    ("GET", "chatgpt.com", "/backend-api/codex/models?client_version=0.60.0", {},
     {"models": [{"slug": "gpt-5-codex"}]}, "openai", "list_models", Facts(item_count=1)),
    ("GET", "openrouter.ai", "/api/v1/models", {},
     {"data": [{"id": "x/y", "context_length": 8192, "pricing": {}}]}, "openai", "list_models",
     Facts(item_count=1)),
    ("GET", "me.openai.azure.com", "/openai/models?api-version=2024-10-21", {},
     {"object": "list", "data": [OPENAI_MODEL]}, "openai", "list_models", Facts(item_count=1)),
    ("GET", "api.together.xyz", "/v1/models", {}, [OPENAI_MODEL] * 3, "openai", "list_models",
     Facts(item_count=3)),
    ("GET", ANTHROPIC, "/v1/models?limit=1000", {},
     {"data": [ANTHROPIC_MODEL], "has_more": False}, "anthropic", "list_models",
     Facts(item_count=1)),
    ("GET", ANTHROPIC, "/v1/models/claude-sonnet-4-6", {}, ANTHROPIC_MODEL, "anthropic",
     "get_model", Facts("claude-sonnet-4-6")),
    ("GET", GOOGLE, "/v1beta/models", {}, {"models": [GEMINI_MODEL]}, "gcp.gemini", "list_models",
     Facts(item_count=1)),
    ("GET", GOOGLE, "/v1beta/models/gemini-2.5-pro", {}, GEMINI_MODEL, "gcp.gemini", "get_model",
     Facts("models/gemini-2.5-pro")),
    ("GET", "localhost:11434", "/api/tags", {}, {"models": [{"name": "llama3", "digest": "ab"}]},
     "ollama", "list_models", Facts(item_count=1)),
    ("POST", "localhost:11434", "/api/show", {"model": "llama3"},
     {"details": {"family": "llama"}, "model_info": {}}, "ollama", "get_model", Facts("llama3")),
    ("GET", "bedrock.us-east-1.amazonaws.com", "/foundation-models", {},
     {"modelSummaries": [{"modelId": "a"}, {"modelId": "b"}]}, "aws.bedrock", "list_models",
     Facts(item_count=2)),
    ("POST", OPENAI, "/v1/batches", {"input_file_id": "file-1"}, OPENAI_BATCH, "openai",
     "batch_create", Facts(None, None, 100, "batch_1", "in_progress")),
    ("GET", "api.groq.com", "/openai/v1/batches/batch_1", {}, OPENAI_BATCH, "openai", "batch_get",
     Facts(None, None, 100, "batch_1", "in_progress")),
    ("GET", OPENAI, "/v1/batches?limit=2", {}, {"object": "list", "data": [OPENAI_BATCH] * 2},
     "openai", "batch_list", Facts(item_count=2)),
    ("POST", OPENAI, "/v1/batches/batch_1/cancel", {}, OPENAI_BATCH | {"status": "cancelling"},
     "openai", "batch_cancel", Facts(None, None, 100, "batch_1", "cancelling")),
    ("POST", ANTHROPIC, "/v1/messages/batches", {"requests": [{}, {}]}, ANTHROPIC_BATCH,
     "anthropic", "batch_create", Facts(None, None, 2, "msgbatch_1", "in_progress")),
    ("GET", ANTHROPIC, "/v1/messages/batches/msgbatch_1", {}, ANTHROPIC_BATCH, "anthropic",
     "batch_get", Facts(None, None, 2, "msgbatch_1", "in_progress")),
    ("GET", ANTHROPIC, "/v1/messages/batches", {}, {"data": [ANTHROPIC_BATCH]}, "anthropic",
     "batch_list", Facts(item_count=1)),
    ("POST", "api.mistral.ai", "/v1/batch/jobs", {"input_files": ["f1"]}, MISTRAL_BATCH,
     "mistral_ai", "batch_create", Facts("mistral-small-latest", None, 7, "b1", "QUEUED")),
    ("POST", GOOGLE, "/v1beta/models/gemini-2.5-flash:batchGenerateContent",
     {"batch": {"input_config": {"requests": {"requests": [{}, {}, {}]}}}},
     {"name": "batches/1", "metadata": {"state": "BATCH_STATE_PENDING"}}, "gcp.gemini",
     "batch_create", Facts(None, None, 3, "batches/1", "BATCH_STATE_PENDING")),
    ("GET", GOOGLE, "/v1beta/batches/1", {},
     {"name": "batches/1", "metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "done": True},
     "gcp.gemini", "batch_get", Facts(None, None, None, "batches/1", "BATCH_STATE_SUCCEEDED")),
    ("POST", VERTEX, f"{PROJECT}/batchPredictionJobs", {}, VERTEX_JOB, "gcp.vertex_ai",
     "batch_create",
     Facts(VERTEX_JOB["model"], None, None, VERTEX_JOB["name"], "JOB_STATE_PENDING")),
    ("POST", "bedrock.us-east-1.amazonaws.com", "/model-invocation-job", {"modelId": "m"},
     {"jobArn": "arn:1"}, "aws.bedrock", "batch_create", Facts("m", batch_id="arn:1")),
    ("GET", "bedrock.us-east-1.amazonaws.com", "/model-invocation-job/arn%3A1", {},
     {"jobArn": "arn:1", "modelId": "m", "status": "Completed"}, "aws.bedrock", "batch_get",
     Facts(None, None, None, "arn:1", "Completed")),
    ("GET", OPENAI, "/v1/files", {}, {"data": [{"id": "f", "purpose": "batch"}]}, "openai",
     "file_list", Facts(item_count=1)),
    ("DELETE", ANTHROPIC, "/v1/files/file_1", {}, {"type": "file_deleted", "id": "file_1"},
     "anthropic", "file_delete", Facts()),
]  # fmt: skip


def _head(method: str, host: str, target: str) -> RequestHead:
    return RequestHead(1, method, target, "HTTP/1.1", (("host", host),))


@pytest.mark.parametrize(
    ("method", "host", "target", "sent", "answer", "provider", "kind", "facts"),
    CASES,
    ids=[f"{case[5]}-{case[6]}-{number}" for number, case in enumerate(CASES)],
)
def test_documented_requests(
    method: str,
    host: str,
    target: str,
    sent: Any,
    answer: Any,
    provider: str,
    kind: str,
    facts: Facts,
) -> None:
    head = _head(method, host, target)
    read = [(of, one.name, one.read(sent, answer)) for of, one in match_request(head)]
    fitting = [found for found in read if found[2] is not None]
    assert fitting[0] == (provider, kind, facts)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/models/"),
        ("GET", "/models"),
        ("POST", "/v1/tokenize"),
    ],
)
def test_answers_of_other_services_do_not_fit(method: str, target: str) -> None:
    kinds = match_request(_head(method, "shop.example", target))
    assert kinds
    for answer in ({"models": ["Roadster"]}, {"data": [{"name": "x"}]}, ["a"], {"id": 1}, None, 3):
        assert all(kind.read({}, answer) is None for _, kind in kinds)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/messages"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("POST", "/api/event_logging/batch"),
        ("POST", "/v1/metrics"),
        ("POST", "/backend-api/codex/analytics-events/events"),
        ("GET", "/v1/modelsx"),
        ("GET", "/"),
    ],
)
def test_calls_and_telemetry_are_no_such_requests(method: str, target: str) -> None:
    assert match_request(_head(method, OPENAI, target)) == ()


def test_none_of_them_is_taken_for_a_call() -> None:
    for method, host, target, *_ in CASES:
        assert match(_head(method, host, target)) is None, target


@given(st.sampled_from([one for provider in PROVIDERS for one in provider.requests]), anything)
def test_reading_never_fails(kind: Any, answer: object) -> None:
    sent = answer if isinstance(answer, dict) else {}
    facts = kind.read(sent, answer)
    assert facts is None or isinstance(facts, Facts)
