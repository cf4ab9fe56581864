from __future__ import annotations

from tests.collector.llm.providers.served import COUNTED, assert_plain, chunks, served, streamed

BASE = "https://api.ai21.com/studio/v1"


def test_chat() -> None:
    assert_plain("ai21", BASE, "jamba-large-1.7-2025-07")


def test_a_stream_names_no_model() -> None:
    events = chunks("", [{"role": "assistant"}, {"content": "Hello!"}])
    for event in events[:-1]:
        del event["model"]
    found = streamed(served("ai21", f"{BASE}/chat/completions"), events)
    assert (found.model, found.usage, found.complete) == (None, COUNTED, True)
