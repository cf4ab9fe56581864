"""What fills each request: whose words, which tools' results, which files, and what is sent again.

In: the calls of one session, the nodes of their message lists and the sizes of their tool schemas.
Out: a `ContextUseRow` a call, in order of time. Bytes are those of the stored messages, so the
parts sum to the whole; tokens are the provider's. A call whose list is not known has no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nsmallest
from types import MappingProxyType

import orjson

from analysis.context_lineage import Continuation, continuations
from analysis.derived import ContextUseRow
from analysis.markers import markers
from analysis.message_lists import MessageLists
from analysis.steps import CallStep, ContextNode, SessionSteps

__all__ = ["ContextNode", "context_uses"]

MOST_TOOLS = 20
MOST_FILES = 12
"""So many a row lists, largest first: it is stored with every call."""
_NO_SCHEMAS: Mapping[str, int] = MappingProxyType({})


def context_uses(
    steps: SessionSteps,
    nodes: Mapping[str, ContextNode],
    schemas: Mapping[str, int] = _NO_SCHEMAS,
) -> list[ContextUseRow]:
    """`nodes` by name may hold other sessions' too; `schemas`: bytes of each tool set.

    `parts` is JSON: `tools`, bytes of tool results by tool; `files`, bytes of file contents by the
    path that a reading tool was given; and behind a compaction `dropped`: the call whose list was
    left out (`call_id`), its `messages` and bytes by tool (`tools`) that are gone, and whether
    something stands for them (`summarised`; null: that cannot be told).
    """
    lists = MessageLists(nodes)
    calls = sorted(steps.calls, key=lambda call: (call.started_ns, call.call_id))
    found = continuations(calls, steps.tools, lists)
    return [
        _row(steps.session.session_id, position, calls, found[position], lists, schemas)
        for position in sorted(found)
    ]


def _row(
    session_id: str,
    position: int,
    calls: list[CallStep],
    goes_on: Continuation,
    lists: MessageLists,
    schemas: Mapping[str, int],
) -> ContextUseRow:
    call = calls[position]
    leaf = call.input_node or ""
    sums = lists.sums(leaf)
    schema_bytes = schemas.get(call.tool_set or "", 0)
    total = sums.total_bytes + schema_bytes
    resent, grown = 0, None
    if goes_on.previous is not None:
        before = calls[goes_on.previous]
        before_schema = schemas.get(before.tool_set or "", 0)
        grown = total - lists.sums(before.input_node or "").total_bytes - before_schema
        resent = schema_bytes if before.tool_set == call.tool_set else 0
        if goes_on.shared is not None:
            resent += lists.sums(goes_on.shared).total_bytes
    tallies = lists.tallies(leaf)
    parts: dict[str, object] = {
        "tools": _most(tallies.tools, MOST_TOOLS),
        "files": _most(tallies.files, MOST_FILES),
    }
    dropped_bytes = None
    if goes_on.compacted is not None:
        dropped_bytes, parts["dropped"] = _dropped(calls[goes_on.compacted], leaf, goes_on, lists)
    return ContextUseRow(
        session_id=session_id,
        call_id=call.call_id,
        position=position,
        at_ns=call.started_ns,
        messages=sums.messages,
        total_bytes=total,
        system_bytes=sums.system_bytes,
        tool_schema_bytes=schema_bytes,
        user_bytes=sums.user_bytes,
        assistant_bytes=sums.assistant_bytes,
        tool_result_bytes=sums.tool_result_bytes,
        other_bytes=sums.other_bytes,
        resent_bytes=resent,
        grown_bytes=grown,
        input_tokens=call.input_tokens,
        cache_read_tokens=call.cache_read_tokens,
        compaction=goes_on.compaction,
        dropped_bytes=dropped_bytes,
        parts=orjson.dumps(parts, option=orjson.OPT_NON_STR_KEYS).decode(),
    )


def _dropped(
    compacted: CallStep, leaf: str, goes_on: Continuation, lists: MessageLists
) -> tuple[int, dict[str, object]]:
    """What the compacted list held and this one does not: bytes in all, and what they were. Words
    that ask for the summary do not count."""
    kept = {lists.content(node) for node in lists.upwards(leaf)}
    tools: dict[str, int] = {}
    messages = dropped_bytes = 0
    last = lists.last(compacted.input_node or "")
    for node in lists.upwards(compacted.input_node):
        part = lists.anatomy(node)
        if part.is_system or lists.content(node) in kept:
            continue
        asks = node == last and any(map(markers().in_last_user_text, part.texts))
        size = part.tool_result_bytes if asks else lists.size_bytes(node)
        dropped_bytes += size
        messages += size > 0
        for name, _, result_bytes in lists.results(node):
            tools[name] = tools.get(name, 0) + result_bytes
    return dropped_bytes, {
        "call_id": compacted.call_id,
        "messages": messages,
        "tools": _most(tools, MOST_TOOLS),
        "summarised": goes_on.summarised,
    }


def _most(tally: Mapping[str, int], most: int) -> dict[str, int]:
    """The largest, largest first."""
    largest = nsmallest(most, tally.items(), key=lambda item: (-item[1], item[0]))
    return {_encodable(name): size for name, size in largest}


def _encodable(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")
