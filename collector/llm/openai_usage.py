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
    sent = _details(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    made = _details(
        usage, "completion_tokens_details", "output_tokens_details", "output_token_details"
    )
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
    cached = mapping(sent, "cached_tokens_details")  # Realtime
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
            amount(usage, "estimated_cost"),  # DeepInfra
            None if ticks is None else ticks / _XAI_TICKS_PER_USD,
        ),
        # Nothing of these is as good as no word of them: they only have prices of their own.
        input_audio_tokens=count(sent, "audio_tokens") or None,
        output_audio_tokens=count(made, "audio_tokens") or None,
        cache_audio_read_tokens=count(cached, "audio_tokens"),
        input_image_tokens=count(sent, "image_tokens") or None,
        output_image_tokens=count(made, "image_tokens") or None,
        cache_image_read_tokens=count(cached, "image_tokens"),
        web_searches=count(usage, "num_search_queries"),  # Perplexity
    )
    return None if found == Usage() else found


def _details(usage: JsonObject, *names: str) -> JsonObject:
    """The breakdown of a total: Chat Completions, Responses and Realtime name it each its way."""
    return next((found for name in names if (found := mapping(usage, name))), {})


def usage_of_timings(body: JsonObject) -> Usage | None:
    """Tokens as llama.cpp's server counts them beside `usage`, or where a request asked for none.

    `timings`: prompt tokens processed and those reused from its cache are counted apart. Its own
    completions say `tokens_evaluated` and `tokens_predicted` ("HTTP server", llama.cpp).
    """
    timings = mapping(body, "timings")
    fresh, reused = count(timings, "prompt_n"), count(timings, "cache_n")
    found = Usage(
        input_tokens=_first(
            count(body, "tokens_evaluated"), None if fresh is None else fresh + (reused or 0)
        ),
        output_tokens=_first(count(body, "tokens_predicted"), count(timings, "predicted_n")),
        cache_read_tokens=reused,
    )
    return None if found == Usage() else found


def _first(*values: _Number | None) -> _Number | None:
    return next((value for value in values if value is not None), None)
