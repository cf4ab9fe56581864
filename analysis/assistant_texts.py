"""What models said in words, call by call.

In: calls of a session and the messages of their answers. Out: `AssistantText`s, for
`analysis.text_chants`. Without content there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from analysis.message_parts import message_parts
from analysis.steps import CallStep, ContextNode
from analysis.text_chants import AssistantText

_MOST_MESSAGES = 64  # of one answer
_MOST_CHARS = 200_000


def assistant_texts(
    calls: Iterable[CallStep], nodes: Mapping[str, ContextNode]
) -> list[AssistantText]:
    """One text for each answer that has words, in the order of the calls."""
    found = []
    for call in calls:
        text = "\n".join(_words(call, nodes))[:_MOST_CHARS]
        if text:
            found.append(
                AssistantText(call.session_id, call.call_id, call.ended_ns or call.started_ns, text)
            )
    return found


def _words(call: CallStep, nodes: Mapping[str, ContextNode]) -> list[str]:
    words: list[str] = []
    node = nodes.get(call.output_node or "")
    for _ in range(_MOST_MESSAGES):
        if node is None or node.node == call.input_node:
            break
        if node.body is not None:
            words[:0] = _text_of(node.body)
        node = nodes.get(node.parent_node or "")
    return words


def _text_of(body: str) -> list[str]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    return [part.text for part in message_parts(message) if part.kind == "text" and part.text]
