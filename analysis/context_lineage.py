"""Which request continues which, and where a context was compacted.

In: the calls of one session in order of time, and their message lists. Out: a `Continuation` for
each call whose list is known: the request before it, the beginning that both share, and the
compaction that lies between them, if one does:

- `request`: the call asks for a summary, by its client's marker (`markers.toml`);
- `after`: the first call whose list holds the summary, by marker or by the provider's own item;
- `generic`: the list does not go on from the one before and has `MIN_FALL` fewer messages, or its
  request `MIN_FALL` fewer tokens.

A session may hold several lists: titles, checks and sub-agents have their own. A shorter list is
no compaction of a longer one that goes on later, nor when an open tool call gave it its first
words, as tool calls do that start sub-agents.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from analysis.markers import markers
from analysis.message_lists import MessageLists
from analysis.steps import CallStep, ToolStep

MIN_FALL = 0.4
"""Clients that compact drop most of the context; answers that vary in size do not reach this."""
MIN_MESSAGES = 5
"""Shorter lists are questions asked once."""
MIN_TOKENS = 2000
MIN_BYTES = 8000
_BYTES_PER_TOKEN = 1.5
"""Fewer bytes than that a token: the request leaves out what its server remembers."""
_TIPS = 16
_RECENT_TIPS = 3
_SYSTEM_BLOCKS = 8
_PROMPT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Continuation:
    """How one call goes on from an earlier one; all positions are those of calls.

    `previous` is the request before it of the same conversation, and `shared` the last node that
    both lists have. `compacted` is the call whose list this one's takes the place of, which may be
    the one that asked for the summary.
    `summarised`: does something stand for what was dropped? None: that cannot be told.
    """

    previous: int | None = None
    shared: str | None = None
    compaction: str | None = None
    compacted: int | None = None
    summarised: bool | None = None


@dataclass(slots=True)
class _Conversation:
    """Lists of one conversation that may go on: the last calls that hold them, oldest first."""

    root: str | None  # the last node of its system prompts
    for_summary: bool  # do the system prompts ask for a summary?
    tips: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fit:
    """What of a call's list was in an earlier call: the last message, and which call. Shared
    system prompts alone are none."""

    node: str | None = None
    call: int | None = None


def continuations(
    calls: Sequence[CallStep], tools: Sequence[ToolStep], lists: MessageLists
) -> dict[int, Continuation]:
    """By position of the call; calls without a known list are left out."""
    return _Lineage(calls, tools, lists).follow()


class _Lineage:
    def __init__(
        self, calls: Sequence[CallStep], tools: Sequence[ToolStep], lists: MessageLists
    ) -> None:
        self._calls = calls
        self._tools = sorted(tools, key=lambda tool: tool.requested_ns)
        self._requested = [tool.requested_ns for tool in self._tools]
        self._lists = lists
        self._first: dict[str, int] = {}  # node -> the first call whose list holds it
        self._latest: dict[str, int] = {}  # leaf -> the last call whose list it ends
        self._went_on: dict[str, int] = {}  # node -> the last call that went on from it
        self._fits: dict[int, _Fit] = {}
        self._by_node: dict[str, _Conversation] = {}
        self._by_key: dict[object, _Conversation] = {}
        self._summaries: set[str] = set()  # beginnings of summaries that were seen
        self._asked: int | None = None  # the last call that asked for a summary
        self._asked_in: _Conversation | None = None

    def follow(self) -> dict[int, Continuation]:
        known = [i for i, call in enumerate(self._calls) if self._lists.knows(call.input_node)]
        for i in known:
            self._fits[i] = self._fit(i)
        return {i: self._continuation(i) for i in known}

    def _leaf(self, i: int) -> str:
        leaf = self._calls[i].input_node
        assert leaf is not None
        return leaf

    def _fit(self, i: int) -> _Fit:
        """Find what is known of the list and make the rest known."""
        leaf = self._leaf(i)
        fit = _Fit()
        for node in self._lists.upwards(leaf):
            if node in self._first:
                if self._lists.sums(node).messages:
                    self._went_on[node] = i
                    fit = _Fit(node, self._latest.get(node, self._first[node]))
                break
            self._first[node] = i
        self._latest[leaf] = i
        return fit

    def _continuation(self, i: int) -> Continuation:
        fit = self._fits[i]
        conversation = self._conversation(i, fit)
        if conversation.for_summary or self._asks(i):
            self._asked, self._asked_in = i, conversation
            return Continuation(fit.call, fit.node, "request")
        if fit.call is not None and fit.call in conversation.tips:
            whole = fit.node == self._leaf(fit.call)
            if whole or (self._keeps_most(fit) and not self._fell(fit.call, i)):
                _replace(conversation.tips, fit.call, i)
                return Continuation(fit.call, fit.node)
        return self._restarted(i, fit, conversation)

    def _restarted(self, i: int, fit: _Fit, conversation: _Conversation) -> Continuation:
        """A list that is no continuation by its nodes: a compaction, or one of its own."""
        told = self._tells_summary(i)
        base = self._base(i, conversation)
        if base is None and told and self._asked is not None:
            other = self._asked_in
            base = self._asked if other is None else self._base(i, other)
            base = self._asked if base is None else base
        fell = base is not None and self._fell(base, i)
        if base is None or self._given_by_tool(i) or not (fell or told or fit.call is None):
            conversation.tips.append(i)
            del conversation.tips[:-_TIPS]
            return Continuation(fit.call, fit.node)
        _replace(conversation.tips, base, i)
        shared = self._lists.shared(self._leaf(base), self._leaf(i))
        if not fell and not told:
            return Continuation(base, shared)
        asked = self._asked is not None and base <= self._asked < i
        summarised = True if told or asked else self._stands_for_dropped(base, i)
        whole = self._asked if asked and self._extends(self._asked, base) else base
        return Continuation(base, shared, "after" if told else "generic", whole, summarised)

    def _extends(self, i: int | None, base: int) -> bool:
        if i is None:
            return False
        return self._lists.shared(self._leaf(base), self._leaf(i)) == self._leaf(base)

    def _conversation(self, i: int, fit: _Fit) -> _Conversation:
        """That of the shared messages, else of the same system prompts and tools, else of the same
        first message."""
        tool_set = self._calls[i].tool_set
        found = self._by_node.get(fit.node or "")
        new: list[str] = []
        for node in self._lists.upwards(self._leaf(i)):
            if node in self._by_node:
                break
            new.append(node)
        if found is None:
            new.reverse()
            prompts = list(takewhile(lambda node: self._lists.anatomy(node).is_system, new))
            root = prompts[-1] if prompts else None
            for_summary = self._ask(prompts)
            keys: list[object] = [("prompts", root, tool_set)]
            if len(prompts) < len(new) and not for_summary:
                keys.append(("first", self._lists.content(new[len(prompts)]), tool_set))
            found = next((self._by_key[key] for key in keys if key in self._by_key), None)
            if found is None:
                found = _Conversation(root, for_summary)
            for key in keys:
                self._by_key[key] = found
            new = new[len(prompts) :]
        else:
            self._by_key["prompts", found.root, tool_set] = found
        for node in new:
            self._by_node[node] = found
        return found

    def _ask(self, prompts: Sequence[str]) -> bool:
        return any(
            markers().in_system_text(text)
            for node in prompts[:_SYSTEM_BLOCKS]
            for text in self._lists.anatomy(node).texts
        )

    def _base(self, i: int, conversation: _Conversation) -> int | None:
        """The list that this one may stand for: the last that does not go on later, of some
        length if there is one."""
        recent = conversation.tips[-_RECENT_TIPS:]
        tips = [tip for tip in recent if not self._lives_on(tip, i)]
        long = [tip for tip in tips if self._messages(tip) >= MIN_MESSAGES]
        fitting = long or tips
        return fitting[-1] if fitting else None

    def _lives_on(self, base: int, i: int) -> bool:
        shared = self._lists.shared(self._leaf(base), self._leaf(i))
        for node in self._lists.upwards(self._leaf(base)):
            if node == shared:
                return False
            if self._went_on.get(node, -1) > i and not self._lists.anatomy(node).is_system:
                return True
        return False

    def _messages(self, i: int) -> int:
        return self._lists.sums(self._leaf(i)).messages

    def _keeps_most(self, fit: _Fit) -> bool:
        """Is most of the list before still there?"""
        assert fit.node is not None
        assert fit.call is not None
        kept = self._lists.sums(fit.node).messages
        return kept > (1 - MIN_FALL) * self._messages(fit.call)

    def _fell(self, base: int, i: int) -> bool:
        """Has the context become that much smaller?"""
        if self._lists.shared(self._leaf(base), self._leaf(i)) == self._leaf(base):
            return False
        left = 1 - MIN_FALL
        before, now = self._calls[base].input_tokens, self._calls[i].input_tokens
        by_tokens = before is not None and now is not None and before >= MIN_TOKENS
        if by_tokens and (self._partial(base) or self._partial(i)):
            return (now or 0) <= left * (before or 0)
        if self._messages(base) < MIN_MESSAGES:
            return False
        if self._messages(i) <= left * self._messages(base):
            return True
        if by_tokens:
            return (now or 0) <= left * (before or 0)
        before_bytes = self._lists.sums(self._leaf(base)).total_bytes
        now_bytes = self._lists.sums(self._leaf(i)).total_bytes
        return before_bytes >= MIN_BYTES and now_bytes <= left * before_bytes

    def _partial(self, i: int) -> bool:
        tokens = self._calls[i].input_tokens
        if tokens is None or tokens < MIN_TOKENS:
            return False
        return self._lists.sums(self._leaf(i)).total_bytes < _BYTES_PER_TOKEN * tokens

    def _asks(self, i: int) -> bool:
        """Is the last that is said to the model that it shall summarise?"""
        last = self._lists.last(self._leaf(i))
        texts = () if last is None else self._lists.anatomy(last).texts
        return any(map(markers().in_last_user_text, texts))

    def _tells_summary(self, i: int) -> bool:
        """Does the list hold a summary that no list before it held?"""
        found = False
        for node in self._lists.upwards(self._leaf(i)):
            if self._first[node] != i:
                break
            part = self._lists.anatomy(node)
            said = [text for text in part.texts if markers().in_summary_text(text)]
            if part.is_summary:
                said.append(self._lists.content(node))
            for text in said:
                found = found or text not in self._summaries
                self._summaries.add(text)
        return found

    def _stands_for_dropped(self, base: int, i: int) -> bool | None:
        """Is there anything new before what was kept of the old list?"""
        old = {self._lists.content(node) for node in self._lists.upwards(self._leaf(base))}
        kept = False
        for node in self._lists.upwards(self._leaf(i)):
            if self._lists.content(node) in old:
                kept = kept or not self._lists.anatomy(node).is_system
            elif kept and self._lists.anatomy(node).says:
                return True
        return False if kept else None

    def _given_by_tool(self, i: int) -> bool:
        """Are its first words those of a tool call that is still open?"""
        started = self._calls[i].started_ns
        before = bisect_left(self._requested, started)
        open_tools = [
            tool
            for tool in self._tools[max(0, before - 1000) : before]
            if tool.arguments and (tool.result_ns is None or tool.result_ns > started)
        ]
        if not open_tools:
            return False
        texts: tuple[str, ...] = ()
        for node in self._lists.upwards(self._leaf(i)):
            part = self._lists.anatomy(node)
            texts = texts if part.is_system or not part.texts else part.texts
        return any(
            spelled in (tool.arguments or "")
            for text in texts
            if len(text) > 3
            for spelled in _spellings(text[:_PROMPT_CHARS])
            for tool in open_tools
        )


def _spellings(text: str) -> tuple[str, str]:
    """The text as it stands in JSON, with and without escapes of what is not ASCII."""
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _replace(tips: list[int], old: int, new: int) -> None:
    if old in tips:
        tips.remove(old)
    tips.append(new)
    del tips[:-_TIPS]
