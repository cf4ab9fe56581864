from __future__ import annotations

import pytest

from collector.llm.model import Usage
from collector.pricing import billed_model, price

USAGE = Usage(input_tokens=1_000_000, output_tokens=0)
ANSWERED = "claude-sonnet-4-5-20250929"
ID = "anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1"


@pytest.mark.parametrize(
    ("requested", "billed"),
    [
        (f"us.{ID}", f"us.{ID}"),
        (f"global.{ID}", f"global.{ID}"),
        (f"{ARN}::foundation-model/{ID}", f"{ARN}::foundation-model/{ID}"),
        (f"{ARN}:1:application-inference-profile/abc", ANSWERED),
        (None, ANSWERED),
    ],
)
def test_bedrock_bills_what_was_requested(requested: str | None, billed: str) -> None:
    assert billed_model(ANSWERED, requested, "aws.bedrock", None) == billed
    found = price(USAGE, billed, "aws.bedrock", None, 1_790_000_000.0)
    assert found.cost_usd is not None


def test_regions_have_prices_of_their_own() -> None:
    costs = [
        price(USAGE, f"{region}.{ID}", "aws.bedrock", None, 1_790_000_000.0).cost_usd
        for region in ("global", "us")
    ]
    assert costs[0] is not None
    assert costs[1] == pytest.approx(costs[0] * 1.1)


def test_a_foundation_models_arn_costs_what_the_model_costs() -> None:
    by_id, by_arn = (
        price(USAGE, model, "aws.bedrock", None, 1_790_000_000.0)
        for model in (ID, f"{ARN}::foundation-model/{ID}")
    )
    assert by_id == by_arn


def test_others_bill_what_answered() -> None:
    assert billed_model("gpt-4o-2024-08-06", "gpt-4o", "openai", None) == "gpt-4o-2024-08-06"
    assert billed_model(None, "gpt-4o", "openai", None) == "gpt-4o"
    assert billed_model(None, f"us.{ID}", "aws.bedrock", None) == f"us.{ID}"
    assert billed_model(None, None, "aws.bedrock", None) is None
