"""Requests of Google's Gemini API and of Vertex AI that infer nothing.

Sources: Gemini API reference, "Tokens", "Models", "Batch", "Files"; Vertex AI reference,
`batchPredictionJobs`, and "Count tokens for Claude models".
"""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.model import Json, JsonObject
from collector.llm.request_kinds import Facts, batch, counted, having, kind, listed, model_card

_VERSION = r"v\d\w*"
_MODEL = r"models/(?P<model>[^/:]+)"
_BATCH = batch("name", "state", inside="metadata")
_BATCHES = rf"{_VERSION}/batches"
_JOB = batch("name", "state")
_JOBS = r"batchPredictionJobs"
_ONE_JOB = rf"{_JOBS}/(?P<batch>[^/:]+)"
_FILES = rf"{_VERSION}/files"


def _accepted(_request: JsonObject, answer: Json) -> Facts | None:
    """An answer without fields: the empty object of google.protobuf.Empty."""
    return Facts() if answer == {} else None


GEMINI_REQUESTS = (
    kind(
        kinds.COUNT_TOKENS, "POST", rf"(?:{_MODEL}|v1internal):countTokens",
        counted("totalTokens"), distinct=True,
    ),
    kind(kinds.LIST_MODELS, "GET", rf"{_VERSION}/models", listed("models", "inputTokenLimit")),
    kind(
        kinds.GET_MODEL, "GET", rf"{_VERSION}/{_MODEL}",
        model_card("supportedGenerationMethods", name="name"),
    ),
    kind(
        kinds.BATCH_CREATE, "POST", rf"{_MODEL}:(?:batchGenerateContent|asyncBatchEmbedContent)",
        _BATCH, distinct=True,
    ),
    kind(kinds.BATCH_LIST, "GET", _BATCHES, listed("operations", "metadata")),
    kind(kinds.BATCH_GET, "GET", rf"{_BATCHES}/(?P<batch>[^/:]+)", _BATCH),
    kind(kinds.BATCH_CANCEL, "POST", rf"{_BATCHES}/(?P<batch>[^/:]+):cancel", _accepted),
    kind(kinds.BATCH_DELETE, "DELETE", rf"{_BATCHES}/(?P<batch>[^/:]+)", _accepted),
    kind(kinds.FILE_UPLOAD, "POST", _FILES, having(file=dict)),
    kind(kinds.FILE_LIST, "GET", _FILES, listed("files", "mimeType")),
    kind(kinds.FILE_GET, "GET", rf"{_FILES}/[^/:]+", having(name=str, mimeType=str)),
    kind(kinds.FILE_DELETE, "DELETE", rf"{_FILES}/[^/:]+", _accepted),
)  # fmt: skip

VERTEX_REQUESTS = (
    kind(
        kinds.COUNT_TOKENS, "POST", r"publishers/anthropic/models/count-tokens:rawPredict",
        counted("input_tokens"), distinct=True,
    ),
    kind(kinds.BATCH_CREATE, "POST", _JOBS, _JOB, distinct=True),
    kind(kinds.BATCH_LIST, "GET", _JOBS, listed("batchPredictionJobs", "state"), distinct=True),
    kind(kinds.BATCH_GET, "GET", _ONE_JOB, _JOB, distinct=True),
    kind(kinds.BATCH_CANCEL, "POST", rf"{_ONE_JOB}:cancel", _accepted, distinct=True),
    kind(kinds.BATCH_DELETE, "DELETE", _ONE_JOB, having(name=str), distinct=True),
)  # fmt: skip
