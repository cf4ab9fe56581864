"""The table of LLM APIs. A new one is a module of its own and a line here.

In: a request head. Out: the first API whose method and path it has; the API's `parse_request`
then confirms by the shape of the body.
"""

from __future__ import annotations

from collector.http.events import RequestHead
from collector.llm.anthropic_messages import AnthropicMessages
from collector.llm.api import Api
from collector.llm.openai_chat import OpenAiChat
from collector.llm.openai_responses import OpenAiResponses

APIS: tuple[Api, ...] = (AnthropicMessages(), OpenAiChat(), OpenAiResponses())


def match(head: RequestHead) -> Api | None:
    """The API that a request may be a call of, or None."""
    return next((api for api in APIS if api.matches(head)), None)
