"""Bare prompts and texts, as messages.

In: the field of a request that holds a text, several, or the token ids of one or several. Out:
messages, to the modules of embeddings and completions.
"""

from __future__ import annotations

from collector.llm.model import Json


def prompt_messages(value: Json) -> tuple[Json, ...]:
    """One user message a text; token ids stand under `tokens`, as sent.

    Objects (parts of a multimodal input) keep their own fields.
    """
    if type(value) is list and value and not all(type(one) is int for one in value):
        return tuple(_message(one) for one in value)
    return () if value is None else (_message(value),)


def _message(value: Json) -> Json:
    if type(value) is dict:
        return {"role": "user", **value}
    return {"role": "user", "tokens" if type(value) is list else "content": value}
