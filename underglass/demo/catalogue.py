"""Requests that the script does not answer: lists of models, token counts, versions, embeddings.

In: a request and the models that the script names. Out: a `Page` in the words of the API that
was asked: Anthropic's and OpenAI's /v1/models, Gemini's /v1beta/models, Ollama's /api/tags.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import orjson

from collector.llm.model import JsonObject
from underglass.demo.batches import batch_answer
from underglass.demo.embeddings import embeddings_of
from underglass.demo.http_server import Request
from underglass.demo.page import Page

_GEMINI = re.compile(
    r"/v1\w*/(?:(?:projects/[^/]+/locations/[^/]+/)?publishers/google/)?"
    r"models(?:/(?P<model>[^/:]+))?(?P<count>:countTokens)?"
)
_VERTEX_COUNT = "/publishers/anthropic/models/count-tokens:rawPredict"
_OLLAMA_VERSION = "0.12.6"


def page_of(request: Request, models: Sequence[str]) -> Page | None:
    """The answer to a request that the script does not answer; None for every other request.

    Raises ValueError, KeyError or TypeError when a body is not what it should be.
    """
    path = "/" + request.target.partition("?")[0].strip("/")
    batch = batch_answer(request, path.removeprefix("/v1"))
    if batch is not None:
        return Page("batches", batch)
    if request.method == "POST":
        return _posted(request, path, models)
    if request.method not in ("GET", "HEAD"):
        return None
    if path == "/":
        return Page("models", "Ollama is running")
    if path == "/api/version":
        return Page("models", {"version": _OLLAMA_VERSION})
    if path == "/api/tags":
        return Page("models", {"models": [_ollama(model) for model in models]})
    gemini = _GEMINI.fullmatch(path)
    if gemini is not None and speaks_gemini(request):
        return _listed([_gemini(m) for m in models], gemini["model"], models, "models")
    path = path.removeprefix("/v1")
    if path != "/models" and not path.startswith("/models/"):
        return None
    wanted = path.removeprefix("/models").strip("/")
    if "anthropic-version" in request.headers:
        cards = [_anthropic(model) for model in models]
        found = _listed(cards, wanted, models, "data")
        if not wanted and isinstance(found.body, dict):
            ends = {"first_id": models[0], "last_id": models[-1]} if models else {}
            found.body.update({"has_more": False, **ends})
        return found
    found = _listed([_openai(model) for model in models], wanted, models, "data")
    if not wanted and isinstance(found.body, dict):
        found.body["object"] = "list"
    return found


def speaks_gemini(request: Request) -> bool:
    """Is a request Gemini's by its version or its key? /v1/models is OpenAI's path, too."""
    return request.target.startswith(("/v1beta", "/v1alpha")) or (
        "x-goog-api-key" in request.headers
    )


def _posted(request: Request, path: str, models: Sequence[str]) -> Page | None:
    tokens = max(1, len(request.body) // 4)
    if path.removeprefix("/v1") == "/messages/count_tokens" or path.endswith(_VERTEX_COUNT):
        model = orjson.loads(request.body)["model"]
        return Page("anthropic.count_tokens", {"input_tokens": tokens}, model)
    gemini = _GEMINI.fullmatch(path)
    if gemini is not None and gemini["count"]:
        orjson.loads(request.body)
        details = [{"modality": "TEXT", "tokenCount": tokens}]
        body = {"totalTokens": tokens, "promptTokensDetails": details}
        return Page("gemini.count_tokens", body, gemini["model"])
    if path == "/api/show":
        asked = orjson.loads(request.body)
        model = asked.get("model") or asked["name"]
        return Page("models", _shown(model) if model in models else None, model)
    return embeddings_of(request, path)


def _listed(cards: list[JsonObject], wanted: str | None, models: Sequence[str], key: str) -> Page:
    if not wanted:
        return Page("models", {key: cards})
    found = dict(zip(models, cards, strict=True)).get(wanted)
    return Page("models", found, wanted)


def _anthropic(model: str) -> JsonObject:
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": "2025-01-01T00:00:00Z",
    }


def _openai(model: str) -> JsonObject:
    return {"id": model, "object": "model", "created": 0, "owned_by": "stand-in"}


def _gemini(model: str) -> JsonObject:
    return {
        "name": f"models/{model}",
        "version": "001",
        "displayName": model,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _ollama(model: str) -> JsonObject:
    return {
        "name": model,
        "model": model,
        "modified_at": "2025-01-01T00:00:00Z",
        "size": 4_700_000_000,
        "digest": hashlib.sha256(model.encode()).hexdigest(),
        "details": _details(),
    }


def _shown(model: str) -> JsonObject:
    return {
        "modelfile": f"FROM {model}",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
        "capabilities": ["completion", "tools", "thinking"],
        "modified_at": "2025-01-01T00:00:00Z",
    }


def _details() -> JsonObject:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "8.0B",
        "quantization_level": "Q4_K_M",
    }
