"""What the path of a call to Google says: which method of which model.

In: a request head. Out: a `GooglePath`, to the API modules of Gemini and of Vertex AI beside this
one. Paths follow google.api.http: `/v1beta/models/MODEL:METHOD` (Gemini API), `/v1/projects/P/
locations/L/publishers/PUBLISHER/models/MODEL:METHOD` (Vertex AI; in express mode from
`publishers` on), `.../endpoints/ID:METHOD` (tuned models), `/v1internal:METHOD` (Code Assist).
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from collector.http.events import RequestHead
from collector.llm.endpoint import path_of

_PATH = re.compile(
    r"(?:^|/)(?:"
    r"(?:publishers/(?P<publisher>[^/]+)/)?models/(?P<model>[^/:]+)"
    r"|(?P<own>(?:tunedModels|endpoints)/[^/:]+)"
    r"|v1internal"
    r"):(?P<method>\w+)$"
)


class GooglePath(NamedTuple):
    """`model` is a model's name; `tunedModels/ID` or `endpoints/ID` of a customer's own; None:
    the path has none. `publisher`: of the model, on Vertex AI."""

    method: str
    model: str | None
    publisher: str | None


def google_path(head: RequestHead) -> GooglePath | None:
    """The method that a request calls; None when it is no POST to a path of this form."""
    if head.method != "POST" or (":" not in head.target and "%" not in head.target):
        return None
    path = path_of(head)
    found = _PATH.search(unquote(path) if "%" in path else path)
    if found is None:
        return None
    return GooglePath(found["method"], found["model"] or found["own"], found["publisher"])
