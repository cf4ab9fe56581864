"""Matches tool calls with their results where APIs give no ids, or clients drop or replace them.

In: the calls and results of a conversation, in order. Out: `match_id`s, by which `ToolCall`s and
`ToolResult`s of such an API find each other. A match id is made of the call's name, how many equal
calls the conversation holds before it, and a hash of its arguments: `get_weather#0-1f3a9c04`.
Both sides can tell it: the response, from what its request holds, and the next request, which
holds the call itself. Clients that drop old turns may turn a match into none, but into a wrong one
only between equal calls.
"""

from __future__ import annotations

import re
from collections import Counter
from hashlib import blake2b
from typing import NamedTuple

import orjson

from collector.llm.model import Json

_WHOLE_FLOAT = re.compile(rb"(?<=\d)\.0(?=[,}\]])")  # JavaScript resends 3.0 as 3


class MatchIds:
    """Counts the calls of one conversation, in order."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()

    def take(self, name: str, arguments: Json) -> str:
        """The match id of the next call."""
        equal = name, _digest(arguments)
        number = self._seen[equal]
        self._seen[equal] += 1
        return f"{name}#{number}-{equal[1]}"

    def copy(self) -> MatchIds:
        """The same counts, to go on from here more than once."""
        copied = MatchIds()
        copied._seen = self._seen.copy()
        return copied


class Matched(NamedTuple):
    """What a result says of its call: `tool_call_id` is the call's in the request, `match_id` None
    where the request holds no call of it."""

    tool_call_id: str | None
    match_id: str | None


class OpenCalls:
    """The calls of a conversation, of which those of the model's last turn may get results."""

    def __init__(self) -> None:
        self._ids = MatchIds()
        self._calls: list[tuple[str, Matched]] = []  # each with its name

    def begin_turn(self) -> None:
        """The model speaks again: what is unanswered stays so."""
        self._calls.clear()

    def add(self, call_id: str | None, name: str, arguments: Json) -> None:
        """The model makes a call."""
        self._calls.append((name, Matched(call_id, self._ids.take(name, arguments))))

    def answered(self, given: str | None, name: str | None) -> Matched:
        """The call that a result is of: the one with the given id, else the first of its name,
        else, where the result names nothing, the first."""
        found = next((one for one in self._calls if given and one[1].tool_call_id == given), None)
        if found is None and (name is not None or given is None):
            found = next((one for one in self._calls if name is None or one[0] == name), None)
        if found is None:
            return Matched(given, None)
        self._calls.remove(found)
        return found[1]


def _digest(arguments: Json) -> str:
    try:
        said = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested too deep to be written
        said = b""
    return blake2b(_WHOLE_FLOAT.sub(b"", said), digest_size=4).hexdigest()
