from __future__ import annotations

from collector.llm.model import Usage
from tests.collector.llm.providers.served import answered, requested, served

BASE = "https://api.voyageai.com/v1"


def test_embeddings_count_a_total_alone() -> None:
    url = f"{BASE}/embeddings"
    api = served("voyage_ai", url, "openai.embeddings")
    asked = requested(api, url, {"model": "voyage-3.5", "input": ["a"], "input_type": "query"})
    assert (asked.request_model, asked.params) == ("voyage-3.5", {"input_type": "query"})
    body = {
        "object": "list",
        "data": [{"object": "embedding", "embedding": [0.1], "index": 0}],
        "model": "voyage-3.5",
        "usage": {"total_tokens": 10},
    }
    found = answered(api, body)
    assert (found.model, found.usage) == ("voyage-3.5", Usage(input_tokens=10, output_tokens=0))


def test_rerank() -> None:
    api = served("voyage_ai", f"{BASE}/rerank", "cohere.rerank")
    body = {
        "object": "list",
        "data": [{"relevance_score": 0.4, "index": 0}],
        "model": "rerank-2.5",
        "usage": {"total_tokens": 26},
    }
    found = answered(api, body)
    assert found.usage == Usage(input_tokens=26, output_tokens=0)
    assert found.output == ({"results": [{"index": 0, "relevance_score": 0.4}]},)
