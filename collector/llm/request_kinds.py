"""Requests to a provider that infer nothing: token counts, lists of models, batches, files.

In: nothing; this module names things and reads the JSON of answers. The provider whose they are
lists its `RequestKind`s (`collector.llm.provider`); `collector.provider_requests` follows them.

A kind whose path says little (`GET /v1/models`) counts at the hosts of known providers, and
elsewhere only if the answer has the documented shape. `distinct` paths count everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from collector.llm.fields import count, mapping, objects, word
from collector.llm.model import Json, JsonObject

COUNT_TOKENS = "count_tokens"
LIST_MODELS = "list_models"
GET_MODEL = "get_model"
BATCH_CREATE = "batch_create"
BATCH_GET = "batch_get"
BATCH_LIST = "batch_list"
BATCH_CANCEL = "batch_cancel"
BATCH_DELETE = "batch_delete"
BATCH_RESULTS = "batch_results"
FILE_UPLOAD = "file_upload"
FILE_GET = "file_get"
FILE_LIST = "file_list"
FILE_DELETE = "file_delete"
FILE_CONTENT = "file_content"
LINES = (BATCH_RESULTS, FILE_CONTENT)  # answered by JSON, one object a line


class Facts(NamedTuple):
    """What an answer says. `items`: models listed, batches or files listed, requests in a batch."""

    model: str | None = None
    counted_tokens: int | None = None
    item_count: int | None = None
    batch_id: str | None = None
    batch_status: str | None = None


NOTHING = Facts()
Read = Callable[[JsonObject, Json], Facts | None]


@dataclass(frozen=True, slots=True)
class RequestKind:
    """One kind of request.

    `path` is searched in the path of the request; its groups `model` and `batch` are names found
    there. `read` takes the request's JSON object (empty when it has none) and the answer's JSON,
    and gives None for an answer that is not of the documented shape.
    """

    name: str
    method: str
    path: re.Pattern[str]
    read: Read
    distinct: bool = False


def kind(name: str, method: str, path: str, read: Read, *, distinct: bool = False) -> RequestKind:
    """A `RequestKind` whose path ends in this pattern."""
    return RequestKind(name, method, re.compile(f"(?:^|/){path}$"), read, distinct)


def counted(*fields: str) -> Read:
    """An answer with the number of tokens in one of these fields."""

    def read(request: JsonObject, answer: Json) -> Facts | None:
        if type(answer) is not dict:
            return None
        tokens = next((n for field in fields if (n := count(answer, field)) is not None), None)
        return None if tokens is None else Facts(word(request, "model"), tokens)

    return read


def tokens_listed(*fields: str) -> Read:
    """An answer that lists the tokens themselves in one of these fields."""

    def read(request: JsonObject, answer: Json) -> Facts | None:
        if type(answer) is not dict:
            return None
        for field in fields:
            if type(answer.get(field)) is list:
                return Facts(word(request, "model"), len(answer[field]))
        return None

    return read


def listed(field: str | None, *marks: str) -> Read:
    """A list in `field`, or the whole answer for None, whose entries have one of these fields."""

    def read(_request: JsonObject, answer: Json) -> Facts | None:
        if field is not None:
            answer = answer.get(field) if type(answer) is dict else None
        if type(answer) is not list:
            return None
        shaped = all(type(entry) is dict and not entry.keys().isdisjoint(marks) for entry in answer)
        return Facts(item_count=len(answer)) if shaped else None

    return read


def any_of(*reads: Read) -> Read:
    """The first of several shapes that fits."""

    def read(request: JsonObject, answer: Json) -> Facts | None:
        return next((facts for one in reads if (facts := one(request, answer))), None)

    return read


def having(**expected: str | type) -> Read:
    """An object with these fields: of this value, or of this type."""

    def read(_request: JsonObject, answer: Json) -> Facts | None:
        if type(answer) is not dict:
            return None
        fits = all(
            type(answer.get(field)) is value
            if isinstance(value, type)
            else answer.get(field) == value
            for field, value in expected.items()
        )
        return NOTHING if fits else None

    return read


def model_card(mark: str, value: str | None = None, name: str = "id") -> Read:
    """One model: an object with the field `mark`, of this value if any, and its name."""

    def read(request: JsonObject, answer: Json) -> Facts | None:
        if type(answer) is not dict or mark not in answer:
            return None
        if value is not None and answer[mark] != value:
            return None
        return Facts(word(answer, name) or word(request, "model"))

    return read


def batch(
    id_field: str, status_field: str, *, mark: tuple[str, str] | None = None, inside: str = ""
) -> Read:
    """One batch: its id, its status, which may stand in an object `inside`, and a mark."""

    def read(request: JsonObject, answer: Json) -> Facts | None:
        if type(answer) is not dict or (mark is not None and answer.get(mark[0]) != mark[1]):
            return None
        batch_id = word(answer, id_field)
        status = word(mapping(answer, inside) if inside else answer, status_field)
        if batch_id is None or (mark is None and status is None and not inside):
            return None
        model = word(answer, "model") or word(request, "model") or word(request, "modelId")
        return Facts(model, None, _requests_in(request, answer), batch_id, status)

    return read


def page_of_lines(_request: JsonObject, answer: Json) -> Facts | None:
    """The first line of a batch's results or input: an object with `custom_id`."""
    return NOTHING if type(answer) is dict and word(answer, "custom_id") is not None else None


def _requests_in(request: JsonObject, answer: JsonObject) -> int | None:
    """How many requests a batch has: as the answer counts them, else as they were sent."""
    counts = mapping(answer, "request_counts")
    total = count(counts, "total")
    if total is None:
        total = count(answer, "total_requests")
    if total is None and counts:
        numbers = [n for n in map(counts.get, counts) if type(n) is int and n >= 0]
        total = sum(numbers) if numbers else None
    sent = objects(request, "requests") or objects(
        mapping(mapping(mapping(request, "batch"), "input_config"), "requests"), "requests"
    )
    return total or len(sent) or total
