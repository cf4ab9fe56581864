"""Mistral AI."""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.provider import Provider
from collector.llm.request_kinds import batch, kind, listed

_JOBS = r"v\d+/batch/jobs"
_JOB = batch("id", "status", mark=("object", "batch"))

PROVIDER = Provider(
    name="mistral_ai",
    hosts=("mistral.ai",),
    price_id="mistral",
    requests=(
        kind(kinds.BATCH_CREATE, "POST", _JOBS, _JOB, distinct=True),
        kind(kinds.BATCH_LIST, "GET", _JOBS, listed("data", "input_files"), distinct=True),
        kind(kinds.BATCH_GET, "GET", rf"{_JOBS}/(?P<batch>[^/]+)", _JOB, distinct=True),
        kind(kinds.BATCH_CANCEL, "POST", rf"{_JOBS}/(?P<batch>[^/]+)/cancel", _JOB, distinct=True),
    ),
)
