"""Requests of Anthropic's API that infer nothing.

Sources: Anthropic's API reference, "Count Message tokens", "Models", "Message Batches", "Files".
"""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.request_kinds import batch, counted, having, kind, listed, model_card

_BATCH = batch("id", "processing_status", mark=("type", "message_batch"))
_BATCHES = r"v\d+/messages/batches"
_ONE = rf"{_BATCHES}/(?P<batch>[^/]+)"
_FILE = having(type="file", id=str)

ANTHROPIC_REQUESTS = (
    kind(
        kinds.COUNT_TOKENS, "POST", r"messages/count_tokens", counted("input_tokens"),
        distinct=True,
    ),
    kind(kinds.LIST_MODELS, "GET", r"v\d+/models", listed("data", "display_name")),
    kind(kinds.GET_MODEL, "GET", r"v\d+/models/(?P<model>[^/]+)", model_card("type", "model")),
    kind(kinds.BATCH_CREATE, "POST", _BATCHES, _BATCH, distinct=True),
    kind(kinds.BATCH_LIST, "GET", _BATCHES, listed("data", "processing_status"), distinct=True),
    kind(kinds.BATCH_GET, "GET", _ONE, _BATCH, distinct=True),
    kind(kinds.BATCH_DELETE, "DELETE", _ONE, having(type="message_batch_deleted"), distinct=True),
    kind(kinds.BATCH_CANCEL, "POST", rf"{_ONE}/cancel", _BATCH, distinct=True),
    kind(kinds.BATCH_RESULTS, "GET", rf"{_ONE}/results", kinds.page_of_lines, distinct=True),
    kind(kinds.FILE_UPLOAD, "POST", r"v\d+/files", _FILE),
    kind(kinds.FILE_LIST, "GET", r"v\d+/files", listed("data", "mime_type")),
    kind(kinds.FILE_GET, "GET", r"v\d+/files/[^/]+", _FILE),
    kind(kinds.FILE_DELETE, "DELETE", r"v\d+/files/[^/]+", having(type="file_deleted")),
)  # fmt: skip
