from __future__ import annotations

import pytest

from analysis.derived import ContextUseRow
from analysis.spirals import MAX_CALLS_BETWEEN, compaction_spirals
from analysis.steps import CallStep

SIGNS = {"r": "request", "a": "after", "g": "generic", ".": None}


def uses(signs: str, session_id: str = "s") -> list[ContextUseRow]:
    """One call a sign: it asks for a compaction, is the first after one, or is just a call."""
    return [
        ContextUseRow(
            session_id=session_id,
            call_id=f"{session_id}{n}",
            position=n,
            at_ns=n,
            messages=1,
            total_bytes=1,
            system_bytes=0,
            tool_schema_bytes=0,
            user_bytes=1,
            assistant_bytes=0,
            tool_result_bytes=0,
            other_bytes=0,
            resent_bytes=0,
            grown_bytes=None,
            input_tokens=None,
            cache_read_tokens=None,
            compaction=SIGNS[sign],
            dropped_bytes=None,
            parts="{}",
        )
        for n, sign in enumerate(signs)
    ]


@pytest.mark.parametrize(
    ("signs", "counts"),
    [
        ("..ra.ra.ra.....", [3]),
        ("rarara", [3]),
        ("r.r.r.", [3]),
        ("g.g.g.g", [4]),
        ("a..a..a", [3]),
        ("ra" + "." * MAX_CALLS_BETWEEN + "ra.ra", []),
        ("ra" + "." * (MAX_CALLS_BETWEEN - 1) + "ra.ra", [3]),
        ("ra.ra....................ra.ra", []),
        ("rarara....................rararara", [3, 4]),
        ("ra.ra", []),
        ("", []),
        ("." * 50, []),
    ],
)
def test_spirals(signs: str, counts: list[int]) -> None:
    assert [finding.count for finding in compaction_spirals(uses(signs))] == counts


def test_a_long_spiral_is_critical_and_its_evidence_bounded() -> None:
    (finding,) = compaction_spirals(uses("ra." * 211))
    assert (finding.kind, finding.severity, finding.count) == ("compaction_spiral", "critical", 211)
    assert [each.id for each in finding.evidence[:2]] == ["s0", "s3"]
    assert len(finding.evidence) == 30


def test_compactions_after_the_first_are_wasted() -> None:
    calls = [CallStep(f"s{n}", "s", "m", n, 1000, 10, cost_usd=0.5) for n in range(6)]
    (finding,) = compaction_spirals(uses("rarara"), calls)
    assert (finding.wasted_tokens, finding.wasted_usd) == (2020, 1.0)


def test_sessions_are_apart() -> None:
    assert compaction_spirals([*uses("ra.ra"), *uses("ra.ra", "t")]) == []
    both = compaction_spirals([*uses("rarara"), *uses("rararara", "t")])
    assert [(finding.session_id, finding.count) for finding in both] == [("s", 3), ("t", 4)]
