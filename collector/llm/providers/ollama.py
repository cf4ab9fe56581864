"""Ollama, wherever it runs."""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.ollama import OLLAMA
from collector.llm.provider import Provider
from collector.llm.request_kinds import kind, listed, model_card

PROVIDER = Provider(
    name="ollama",
    hosts=("ollama.com",),
    apis=OLLAMA,
    requests=(
        kind(kinds.LIST_MODELS, "GET", r"api/tags", listed("models", "digest")),
        kind(kinds.LIST_MODELS, "GET", r"api/ps", listed("models", "digest")),
        kind(kinds.GET_MODEL, "POST", r"api/show", model_card("details")),
    ),
)
