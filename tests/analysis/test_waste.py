from __future__ import annotations

from analysis.steps import CallStep
from analysis.waste import Waste, wasted

ONE = CallStep("one", "s", "m", 0, 10, 5, cost_usd=0.5)
UNPRICED = CallStep("unpriced", "s", "m", 0, 10, 5)
UNCOUNTED = CallStep("uncounted", "s", "m", 0, 10, None, cost_usd=0.25)
CALLS = {call.call_id: call for call in (ONE, UNPRICED, UNCOUNTED)}


def test_sums() -> None:
    assert wasted(["one", "one"], CALLS) == Waste(15, 0.5)
    assert wasted([], CALLS) == Waste(0, 0.0)


def test_an_unknown_part_makes_the_sum_unknown() -> None:
    assert wasted(["one", "unpriced"], CALLS) == Waste(30, None)
    assert wasted(["uncounted", "one"], CALLS) == Waste(None, 0.75)
    assert wasted(["gone", "one"], CALLS) == Waste(None, None)
