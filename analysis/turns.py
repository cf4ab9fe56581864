"""What the user said, and when: user turns out of message lists that are resent with every call.

In: the calls of the store with the leaf of their message list, and the links of these lists.
Out: one `UserTurn` for each user text, dated by the first call that carried it. Tool results and
what clients write in the user's name (`injected` in `markers.toml`) are no turns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.markers import markers
from analysis.steps import CallStep, UserTurn


@dataclass(frozen=True, slots=True)
class MessageLink:
    """One message of a list. `body` is its JSON text when a user's, and kept."""

    node: str
    parent_node: str | None
    position: int
    body: str | None


def user_turns(
    calls: Iterable[tuple[CallStep, str | None]], links: Iterable[MessageLink]
) -> list[UserTurn]:
    """Turns in the order of their calls. `calls`: in order of time, each with its input node.

    A text at the same place of the list is the same turn, though its message was sent again with
    other decoration (a moved cache mark makes another node of it).
    """
    by_node = {link.node: link for link in links}
    texts = {node: user_text(link.body) for node, link in by_node.items() if link.body}
    walked: dict[str, set[str]] = {}
    said: dict[str, set[tuple[int, str]]] = {}
    turns = []
    for call, leaf in calls:
        fresh = list(_fresh(leaf, by_node, walked.setdefault(call.session_id, set())))
        known = said.setdefault(call.session_id, set())
        for link in reversed(fresh):
            text = texts.get(link.node)
            if text and (link.position, text) not in known:
                known.add((link.position, text))
                turns.append(UserTurn(call.session_id, call.call_id, text, call.started_ns))
    return turns


def user_text(body: str) -> str | None:
    """The user's own text in a message of any provider's shape; None when there is none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("role") != "user":
        return None
    content = message.get("content", message.get("parts"))
    blocks = content if isinstance(content, list) else [content]
    text = "\n".join(filter(None, map(_own_text, blocks)))
    return text or None


def _own_text(block: Any) -> str:
    text = block.get("text") if isinstance(block, dict) else block
    return markers().without_injected(text).strip() if isinstance(text, str) else ""


def _fresh(
    leaf: str | None, links: Mapping[str, MessageLink], walked: set[str]
) -> Iterator[MessageLink]:
    """Links from the leaf back to the first that was walked before."""
    node = leaf
    while node is not None and node not in walked and node in links:
        walked.add(node)
        yield links[node]
        node = links[node].parent_node
