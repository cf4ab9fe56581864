"""The `usage` object of OpenAI's APIs and of servers that speak them, as `Usage`.

In: the object from a Chat Completions or Responses body. Out: to the modules of both.
"""

from __future__ import annotations

from typing import TypeVar

from collector.llm.fields import amount, count, mapping
from collector.llm.model import JsonObject, Usage

_XAI_TICKS_PER_USD = 10**10
_Number = TypeVar("_Number", int, float)


def usage_of(usage: JsonObject) -> Usage | None:
    """Tokens of a `usage` object, Chat Completions or Responses; None when it says nothing."""
    sent = mapping(usage, "prompt_tokens_details") or mapping(usage, "input_tokens_details")
    made = mapping(usage, "completion_tokens_details") or mapping(usage, "output_tokens_details")
    read_tokens = _first(
        count(sent, "cached_tokens"),
        count(usage, "prompt_cache_hit_tokens"),  # DeepSeek
        count(usage, "cached_tokens"),  # Moonshot
    )
    input_tokens = _first(count(usage, "prompt_tokens"), count(usage, "input_tokens"))
    output_tokens = _first(count(usage, "completion_tokens"), count(usage, "output_tokens"))
    reasoning_tokens = count(made, "reasoning_tokens")
    total_tokens = count(usage, "total_tokens")
    if (
        input_tokens is not None
        and output_tokens is not None
        and reasoning_tokens
        and total_tokens == input_tokens + output_tokens + reasoning_tokens
    ):
        output_tokens += reasoning_tokens  # xAI counts them apart, and bills them as output
    ticks = amount(usage, "cost_in_usd_ticks")
    found = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=read_tokens,
        cache_write_tokens=count(sent, "cache_write_tokens"),
        reasoning_tokens=reasoning_tokens,
        cost_usd=_first(
            amount(usage, "cost"),  # OpenRouter
            amount(mapping(usage, "cost"), "total_cost"),  # Perplexity
            None if ticks is None else ticks / _XAI_TICKS_PER_USD,
        ),
    )
    return None if found == Usage() else found


def _first(*values: _Number | None) -> _Number | None:
    return next((value for value in values if value is not None), None)
