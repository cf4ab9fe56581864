"""Requests of OpenAI's API, and of servers that speak it, that infer nothing.

Sources: OpenAI's API reference, "Models", "Batch", "Files", "Input token counts"; the servers of
llama.cpp and vLLM for `/tokenize`. Paths stand behind any prefix: `/openai/v1/models` (Groq,
Azure), `/api/v1/models` (OpenRouter), `/models` (GitHub Copilot, DeepSeek).
"""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.request_kinds import any_of, batch, counted, having, kind, listed, model_card

_BATCH = batch("id", "status", mark=("object", "batch"))
_BATCHES = r"v\d+/batches"
_FILES = r"(?:v\d+|openai)/files"
_FILE = having(object="file", id=str)
_MODEL_MARKS = ("object", "owned_by", "context_length", "pricing", "slug")

OPENAI_REQUESTS = (
    kind(
        kinds.COUNT_TOKENS, "POST", r"responses/input_tokens", counted("input_tokens"),
        distinct=True,
    ),
    kind(
        kinds.COUNT_TOKENS, "POST", r"tokenize",
        kinds.tokens_listed("tokens"),
    ),
    kind(
        kinds.LIST_MODELS, "GET", r"models",
        any_of(
            listed("data", *_MODEL_MARKS),
            listed("models", "slug"),  # Codex, with a ChatGPT plan
            listed(None, *_MODEL_MARKS),  # Together AI
        ),
    ),
    kind(kinds.GET_MODEL, "GET", r"models/(?P<model>.+)", model_card("object", "model")),
    kind(kinds.BATCH_CREATE, "POST", _BATCHES, _BATCH),
    kind(kinds.BATCH_LIST, "GET", _BATCHES, listed("data", "input_file_id")),
    kind(kinds.BATCH_GET, "GET", rf"{_BATCHES}/(?P<batch>[^/]+)", _BATCH),
    kind(kinds.BATCH_CANCEL, "POST", rf"{_BATCHES}/(?P<batch>[^/]+)/cancel", _BATCH),
    kind(kinds.FILE_UPLOAD, "POST", _FILES, _FILE),
    kind(kinds.FILE_LIST, "GET", _FILES, listed("data", "purpose")),
    kind(kinds.FILE_GET, "GET", rf"{_FILES}/[^/]+", _FILE),
    kind(kinds.FILE_DELETE, "DELETE", rf"{_FILES}/[^/]+", having(id=str, deleted=bool)),
    kind(kinds.FILE_CONTENT, "GET", rf"{_FILES}/[^/]+/content", kinds.page_of_lines),
)  # fmt: skip
