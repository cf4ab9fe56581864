"""Batches, files and OpenAI's token counts, as far as clients ask for them: nothing is inferred.

In: a request. Out: an answer in the words of OpenAI's or Anthropic's API. Nothing is kept: an id
names what was sent, a batch has always ended, and its results are two lines.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import orjson

from collector.llm.model import JsonObject
from underglass.demo.http_server import Request

_BATCH = re.compile(r"/batches(?:/(?P<id>[^/]+)(?P<action>/cancel)?)?")
_FILE = re.compile(r"/files(?:/(?P<id>[^/]+)(?P<content>/content)?)?")
_MESSAGE_BATCH = re.compile(r"/messages/batches(?:/(?P<id>[^/]+)(?P<action>/cancel|/results)?)?")
_PURPOSE = re.compile(rb'name="purpose"\r\n\r\n([\w-]+)')
_CREATED = 1_735_689_600  # 2025-01-01
RESULTS = 2


def batch_answer(request: Request, path: str) -> JsonObject | str | None:
    """The answer to a request about batches or files; None for every other request.

    `path` has no `/v1`. Raises ValueError, KeyError or TypeError for a body that is not right.
    """
    if match := _MESSAGE_BATCH.fullmatch(path):
        return _message_batch(request, match["id"], match["action"])
    if match := _BATCH.fullmatch(path):
        return _batch(request, match["id"])
    if match := _FILE.fullmatch(path):
        return _file(request, match["id"], bool(match["content"]))
    if path == "/responses/input_tokens" and request.method == "POST":
        tokens = max(1, len(orjson.dumps(orjson.loads(request.body)["input"])) // 4)
        return {"object": "response.input_tokens", "input_tokens": tokens}
    return None


def _message_batch(request: Request, batch_id: str | None, action: str | None) -> JsonObject | str:
    if action == "/results":
        result = {"type": "canceled"}
        return _lines({"custom_id": f"r{n}", "result": result} for n in range(RESULTS))
    count = RESULTS
    if batch_id is None:
        if request.method == "GET":
            cards = [_message_card(_id("msgbatch_", b"listed"), RESULTS)]
            return {"data": cards, "has_more": False, "first_id": None, "last_id": None}
        count = len(orjson.loads(request.body)["requests"])
        batch_id = _id("msgbatch_", request.body)
    return _message_card(batch_id, count)


def _message_card(batch_id: str, count: int) -> JsonObject:
    counts = dict.fromkeys(("processing", "succeeded", "errored", "expired"), 0)
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": {**counts, "canceled": count},
        "created_at": "2025-01-01T00:00:00Z",
        "expires_at": "2025-01-02T00:00:00Z",
        "ended_at": "2025-01-01T00:00:01Z",
        "results_url": f"/v1/messages/batches/{batch_id}/results",
    }


def _batch(request: Request, batch_id: str | None) -> JsonObject | str:
    if batch_id is None:
        if request.method == "GET":
            return {"object": "list", "data": [_card(_id("batch_", b"listed"))], "has_more": False}
        orjson.loads(request.body)["input_file_id"]
        batch_id = _id("batch_", request.body)
    return _card(batch_id)


def _card(batch_id: str) -> JsonObject:
    return {
        "id": batch_id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": _id("file-", b"input"),
        "output_file_id": _id("file-", b"output"),
        "completion_window": "24h",
        "status": "completed",
        "created_at": _CREATED,
        "request_counts": {"total": RESULTS, "completed": RESULTS, "failed": 0},
    }


def _file(request: Request, file_id: str | None, content: bool) -> JsonObject | str:
    if content:
        return _lines({"custom_id": f"r{n}", "response": None} for n in range(RESULTS))
    purpose = _PURPOSE.search(request.body)
    card = {
        "id": file_id or _id("file-", request.body),
        "object": "file",
        "bytes": len(request.body),
        "created_at": _CREATED,
        "filename": "batch.jsonl",
        "purpose": purpose[1].decode() if purpose else "batch_output",
        "status": "processed",
    }
    if file_id is None and request.method == "GET":
        return {"object": "list", "data": [card], "has_more": False}
    return card


def _id(prefix: str, of: bytes) -> str:
    return prefix + hashlib.sha256(of).hexdigest()[:24]


def _lines(objects: Iterable[JsonObject]) -> str:
    return "".join(orjson.dumps(one).decode() + "\n" for one in objects)
