"""xAI."""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.provider import Provider
from collector.llm.request_kinds import kind, listed, tokens_listed

PROVIDER = Provider(
    name="x_ai",
    hosts=("api.x.ai",),
    price_id="x-ai",
    requests=(
        kind(kinds.COUNT_TOKENS, "POST", r"v\d+/tokenize-text", tokens_listed("token_ids")),
        kind(
            kinds.LIST_MODELS,
            "GET",
            r"v\d+/(?:language|image-generation|embedding)-models",
            listed("models", "fingerprint"),
        ),
    ),
)
