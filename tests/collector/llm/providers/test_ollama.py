from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import served


@pytest.mark.parametrize("host", ["localhost:11434", "192.168.1.9:11434", "models.example"])
@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/api/chat", "ollama.chat"),
        ("/api/generate", "ollama.generate"),
        ("/api/embed", "ollama.embeddings"),
        ("/api/embeddings", "ollama.embeddings"),
    ],
)
def test_apis_of_any_host(host: str, path: str, api: str) -> None:
    served("ollama", f"https://{host}{path}", api)
