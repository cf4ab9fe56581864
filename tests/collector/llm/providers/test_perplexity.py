from __future__ import annotations

from tests.collector.llm.providers.served import answered, chunks, completion, served, streamed

API = served("perplexity", "https://api.perplexity.ai/chat/completions")
USAGE = {
    "prompt_tokens": 8,
    "completion_tokens": 439,
    "total_tokens": 447,
    "search_context_size": "low",
    "cost": {
        "input_tokens_cost": 2.4e-05,
        "output_tokens_cost": 0.006585,
        "request_cost": 0.006,
        "total_cost": 0.012609,
    },
}


def test_the_total_of_its_costs() -> None:
    search = [{"title": "T", "url": "https://example.com", "date": None}]
    body = completion("sonar-pro", usage=USAGE, citations=["https://example.com"])
    deltas = [{"role": "assistant", "content": "Hello!"}]
    events = chunks("sonar-pro", deltas, USAGE, search_results=search)
    for found in (answered(API, body), streamed(API, events)):
        assert found.usage is not None
        assert (found.usage.input_tokens, found.usage.output_tokens) == (8, 439)
        assert found.usage.cost_usd == 0.012609
