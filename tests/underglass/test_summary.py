from __future__ import annotations

import pytest

from collector.rows import Batch
from tests.collector import store_rows as row
from underglass.summary import Summary


def test_estimated_numbers_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary()
    known = row.call("c1", input_tokens=1000, output_tokens=100, cost_usd=0.5)
    estimated = row.call(
        "c2", input_tokens=10, output_tokens=5, cost_usd=0.25, usage_source="estimated"
    )
    summary.add(Batch(calls=[known]))
    summary.show("there")
    assert "1,000 tokens in, 100 out, $0.5000" in capsys.readouterr().err
    summary.add(Batch(calls=[estimated]))
    summary.show("there")
    said = capsys.readouterr().err
    assert "~1,010 tokens in, ~105 out, tokens of 1 calls estimated, ~$0.7500" in said
