"""Tool calls: what models asked agents to do, and the results that came back.

In: answers with tool calls, and results that later requests of the session carry. Out:
`ToolCallRow`s, written when the model made the call and again when its result was told first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from collector.llm.model import ToolCall, ToolResult
from collector.normalisation import arguments_hash, canonical_arguments, result_hash
from collector.redaction import TextRedactor
from collector.rows import CallRow, ToolCallRow

PREVIEW_CHARACTERS = 2000
UNANSWERED_TOOL_CALLS = 50_000


class ToolCalls:
    """Tool calls that wait for their results, bounded; rows that changed since the last `take`.

    `answered`: a result was told since then.
    """

    def __init__(
        self, redact: TextRedactor, wall_ns: Callable[[int], int], *, content: bool
    ) -> None:
        self._redact = redact
        self._wall_ns = wall_ns
        self._content = content
        self._changed: dict[tuple[str, str], ToolCallRow] = {}
        self._unanswered: OrderedDict[tuple[str, str], ToolCallRow] = OrderedDict()
        self.answered = False

    def take(self) -> list[ToolCallRow]:
        """Rows that are new or changed."""
        rows = list(self._changed.values())
        self._changed = {}
        self.answered = False
        return rows

    def asked(self, call: CallRow, index: int, tool_call: ToolCall) -> None:
        """The model asked for a tool; `index` counts those of its answer."""
        arguments = self._redact(canonical_arguments(tool_call.arguments))
        row = ToolCallRow(
            tool_call_id=tool_call.tool_call_id or f"{call.call_id}#{index}",
            session_id=call.session_id,
            call_id=call.call_id,
            name=tool_call.name,
            arguments=arguments if self._content else None,
            arguments_hash=arguments_hash(arguments),
            result_preview=None,
            result_hash=None,
            is_error=None,
            requested_ns=self._wall_ns(tool_call.requested_ns),
            result_ns=None,
            result_call_id=None,
        )
        self._changed[row.call_id, row.tool_call_id] = row
        self._unanswered[row.session_id, row.tool_call_id] = row
        if tool_call.match_id is not None:
            self._unanswered[row.session_id, tool_call.match_id] = row
        while len(self._unanswered) > UNANSWERED_TOOL_CALLS:
            self._unanswered.popitem(last=False)

    def answer(self, session_id: str, result: ToolResult, call_id: str, started_ns: int) -> None:
        """The result of a tool call, told the first time that a request carries it."""
        names = (result.tool_call_id, result.match_id)
        found = [self._unanswered.pop((session_id, name), None) for name in names if name]
        row = next((one for one in found if one is not None), None)
        if row is None:
            return
        text = self._redact(result.text)
        self.answered = True
        self._changed[row.call_id, row.tool_call_id] = replace(
            row,
            result_preview=text[:PREVIEW_CHARACTERS] if self._content else None,
            result_hash=result_hash(text),
            is_error=result.is_error,
            result_ns=started_ns,
            result_call_id=call_id,
        )
