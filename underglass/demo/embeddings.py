"""Embeddings of Google's and Ollama's APIs, server side: two numbers for every text.

In: requests. Out: `Page`s with the tokens that the API reports: Vertex AI's older models for each
text, its newer ones and Ollama's `/api/embed` for all; the others none.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.http_server import Request
from underglass.demo.page import Page

_GOOGLE = re.compile(
    r"/.*?(?P<vertex>publishers/google/)?models/(?P<model>[^/:]+)"
    r":(?P<method>embedContent|batchEmbedContents|predict)"
)


def embeddings_of(request: Request, path: str) -> Page | None:
    """The answer to a request for embeddings; None for every other request.

    Raises ValueError, KeyError or TypeError when a body is not what it should be.
    """
    google = _GOOGLE.fullmatch(path)
    if google is not None:
        body = orjson.loads(request.body)
        answer, usage = _google(body, google["method"], vertex=google["vertex"] is not None)
        return Page("gemini.embeddings", answer, google["model"], usage)
    if path not in ("/api/embed", "/api/embeddings"):
        return None
    body = orjson.loads(request.body)
    if path == "/api/embeddings":
        vector = _vector(body["prompt"])
        return Page("ollama.embeddings", {"embedding": vector}, body["model"])
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    counted = sum(map(_tokens, texts))
    answer = {
        "model": body["model"],
        "embeddings": [_vector(text) for text in texts],
        "total_duration": 1_000_000 * counted,
        "load_duration": 1_000_000,
        "prompt_eval_count": counted,
    }
    usage = Usage(input_tokens=counted, output_tokens=0)
    return Page("ollama.embeddings", answer, body["model"], usage, body["model"])


def _google(body: JsonObject, method: str, *, vertex: bool) -> tuple[JsonObject, Usage | None]:
    if method == "predict":
        texts = [instance["content"] for instance in body["instances"]]
        predictions = [
            {
                "embeddings": {
                    "values": _vector(text),
                    "statistics": {"token_count": _tokens(text), "truncated": False},
                }
            }
            for text in texts
        ]
        return {"predictions": predictions}, _usage(texts)
    if method == "batchEmbedContents":
        texts = [_text(one["content"]) for one in body["requests"]]
        return {"embeddings": [{"values": _vector(text)} for text in texts]}, None
    text = _text(body["content"])
    answer: JsonObject = {"embedding": {"values": _vector(text)}}
    if not vertex:
        return answer, None
    answer["usageMetadata"] = {"promptTokenCount": _tokens(text)}
    return answer, _usage([text])


def _text(content: Any) -> str:
    return "".join(part["text"] for part in content["parts"])


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _usage(texts: list[str]) -> Usage:
    return Usage(input_tokens=sum(map(_tokens, texts)), output_tokens=0)


def _vector(text: str) -> list[float]:
    return [len(text) / 8, text.count(" ") / 8]
