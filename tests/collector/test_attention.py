"""A collector that is asked has its share of the processor, for as long as it is asked."""

from __future__ import annotations

import threading

from collector.attention import Attention


def test_a_claim_lasts_from_the_first_question_until_a_while_after_the_last() -> None:
    claims: list[bool] = []
    ended = threading.Event()

    def claim(on: bool) -> None:
        claims.append(on)
        if not on:
            ended.set()

    attention = Attention(claim, lapses_after_s=0.05)
    for times in (1, 2):
        ended.clear()
        for _ in range(20):
            attention.asked()
        assert ended.wait(20)
        assert claims == [True, False] * times
    attention.asked()
    attention.close()
    attention.asked()
    assert claims == [True, False, True, False, True]
