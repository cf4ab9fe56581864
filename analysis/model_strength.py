"""Which of two models is the stronger one.

In: two models' names, as calls say them. Out: yes, no, or None where it cannot be told. Within a
maker's line the size in the name decides; else the list price of the same use, through
`collector.pricing`, must differ by more than a new version's price would.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Sizes of each maker's line, weakest first; the first word that is in a name decides. A name of
# the line without any of these words has the size "".
_LINES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"claude"), ("haiku", "sonnet", "opus")),
    (re.compile(r"gemini"), ("flash-lite", "flash", "pro", "ultra")),
    (re.compile(r"gpt-\d"), ("nano", "mini", "", "pro")),
    (re.compile(r"(?<![a-z0-9])o[134](?![a-z0-9])"), ("mini", "", "pro")),
    (re.compile(r"mistral|ministral"), ("ministral", "small", "medium", "large")),
    (re.compile(r"nova"), ("micro", "lite", "pro", "premier")),
    (re.compile(r"grok"), ("mini", "")),
)
_DATED = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d|\d{4}|latest|v\d+(?::\d+)?)$")
NOMINAL_INPUT_TOKENS, NOMINAL_OUTPUT_TOKENS = 3_000, 1_000
"""Agents read more than they write; small, so that no tier of long requests applies."""
MIN_PRICE_RATIO = 1.5
"""A newer version of the same size costs up to 1.4 times the old one (gpt-5.1 to gpt-5.2)."""


def is_stronger(
    model: str, than: str, *, provider: str, than_provider: str, at_s: float
) -> bool | None:
    """Is `model` stronger than `than`? `at_s`: when, in seconds since the epoch, for prices."""
    one, other = _plain(model), _plain(than)
    if one == other:
        return False
    for line, sizes in _LINES:
        if line.search(one) and line.search(other):
            size, other_size = _size(one, sizes), _size(other, sizes)
            if size is not None and other_size is not None and size != other_size:
                return size > other_size
    day_s = at_s // 86_400 * 86_400
    cost = _price(model, provider, day_s)
    other_cost = _price(than, than_provider, day_s)
    if cost is None or not other_cost:
        return None
    return cost > MIN_PRICE_RATIO * other_cost


def same_model(one: str, other: str) -> bool:
    """Are these names of one model, apart from its date?"""
    return _plain(one) == _plain(other)


@lru_cache(maxsize=1024)
def _plain(model: str) -> str:
    return _DATED.sub("", model.lower().rpartition("/")[2])


def _size(model: str, sizes: tuple[str, ...]) -> int | None:
    # Longer words first: "flash-lite" before "flash".
    for word in sorted(filter(None, sizes), key=len, reverse=True):
        if re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", model):
            return sizes.index(word)
    return sizes.index("") if "" in sizes else None


@lru_cache(maxsize=1024)
def _price(model: str, provider: str, at_s: float) -> float | None:
    from collector.llm.model import Usage
    from collector.pricing import price

    usage = Usage(input_tokens=NOMINAL_INPUT_TOKENS, output_tokens=NOMINAL_OUTPUT_TOKENS)
    return price(usage, model, provider, None, at_s).cost_usd
