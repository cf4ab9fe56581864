"""Cohere."""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.cohere_chat import CohereChat
from collector.llm.cohere_embed import CohereEmbed
from collector.llm.cohere_rerank import CohereRerank
from collector.llm.provider import Provider
from collector.llm.request_kinds import kind, listed, model_card, tokens_listed

PROVIDER = Provider(
    name="cohere",
    hosts=("api.cohere.ai", "api.cohere.com"),
    apis=(CohereChat(), CohereEmbed(), CohereRerank()),
    requests=(
        kind(kinds.COUNT_TOKENS, "POST", r"v\d+/tokenize", tokens_listed("tokens")),
        kind(kinds.LIST_MODELS, "GET", r"v\d+/models", listed("models", "endpoints")),
        kind(
            kinds.GET_MODEL,
            "GET",
            r"v\d+/models/(?P<model>[^/]+)",
            model_card("endpoints", name="name"),
        ),
    ),
)
