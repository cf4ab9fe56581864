"""An answer that no script says: what `catalogue` and `embeddings` give to `model_server`."""

from __future__ import annotations

from dataclasses import dataclass

from collector.llm.model import JsonObject, Usage


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. `body` is None when the model that was asked for is not there.

    `api` is the ledger's name. `usage` and `model` are what the answer itself reports.
    """

    api: str
    body: JsonObject | str | None
    request_model: str | None = None
    usage: Usage | None = None
    model: str | None = None
