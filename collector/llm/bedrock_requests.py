"""Requests of Amazon Bedrock that infer nothing.

Source: Amazon Bedrock API reference: CountTokens, ListFoundationModels, GetFoundationModel,
ListInferenceProfiles, CreateModelInvocationJob and its kin.
"""

from __future__ import annotations

from collector.llm import request_kinds as kinds
from collector.llm.model import Json, JsonObject
from collector.llm.request_kinds import Facts, batch, counted, having, kind, listed

_JOB = batch("jobArn", "status")
_ONE = r"model-invocation-job/(?P<batch>.+)"


def _created(request: JsonObject, answer: Json) -> Facts | None:
    if type(answer) is not dict or type(answer.get("jobArn")) is not str:
        return None
    model = request.get("modelId")
    return Facts(model if type(model) is str else None, batch_id=answer["jobArn"])


BEDROCK_REQUESTS = (
    kind(
        kinds.COUNT_TOKENS, "POST", r"model/(?P<model>.+)/count-tokens", counted("inputTokens"),
        distinct=True,
    ),
    kind(kinds.LIST_MODELS, "GET", r"foundation-models", listed("modelSummaries", "modelId")),
    kind(
        kinds.LIST_MODELS, "GET", r"inference-profiles",
        listed("inferenceProfileSummaries", "inferenceProfileId"),
    ),
    kind(
        kinds.GET_MODEL, "GET", r"foundation-models/(?P<model>[^/]+)", having(modelDetails=dict)
    ),
    kind(kinds.BATCH_CREATE, "POST", r"model-invocation-job", _created, distinct=True),
    kind(
        kinds.BATCH_LIST, "GET", r"model-invocation-jobs",
        listed("invocationJobSummaries", "jobArn"), distinct=True,
    ),
    kind(kinds.BATCH_CANCEL, "POST", rf"{_ONE}/stop", having(), distinct=True),
    kind(kinds.BATCH_GET, "GET", _ONE, _JOB, distinct=True),
)  # fmt: skip
