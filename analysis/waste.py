"""What work in vain cost: tokens and money of the calls that a finding counts as wasted.

In: the calls of the sessions, by id. Out: sums, `None` as soon as one part is not known. Used by
the detectors of loops, chants, spirals and stand-stills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.steps import CallStep

Calls = Mapping[str, CallStep]
"""Calls by `call_id`; may fill up while a detector runs."""


@dataclass(slots=True)
class Waste:
    """Sums that start at zero and turn to `None` for good with the first unknown part."""

    tokens: int | None = 0
    usd: float | None = 0.0

    def add(self, call: CallStep | None) -> None:
        """Count one call; `None`: a call of which nothing is known."""
        used = None if call is None else call.tokens
        cost = None if call is None else call.cost_usd
        self.tokens = None if self.tokens is None or used is None else self.tokens + used
        self.usd = None if self.usd is None or cost is None else self.usd + cost


def wasted(call_ids: Iterable[str], calls: Calls) -> Waste:
    """What these calls cost together, each counted once."""
    waste = Waste()
    for call_id in dict.fromkeys(call_ids):
        waste.add(calls.get(call_id))
    return waste
