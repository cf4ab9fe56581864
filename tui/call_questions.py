"""What the screens of a call ask the store.

In: which call. Out: frozen questions, read in a worker thread, and their answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from analysis.raw_http import RawPlace, raw_place
from analysis.reading import (
    CallDetail,
    Neighbours,
    Reader,
    call_detail,
    call_neighbours,
    call_now,
)
from analysis.request_diff import RequestDiff, request_diff

CallKey = Literal["call", "tool"]
_CALL_OF_TOOL = """
SELECT call_id FROM tools WHERE tool_call_id = $tool_call_id ORDER BY requested_at LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """A call, and what stands beside it in its session."""

    detail: CallDetail
    beside: Neighbours


@dataclass(frozen=True, slots=True)
class CallQuestion:
    """A call by its own id, or that of a tool call in it."""

    kind: CallKey
    key: str

    def read(self, reader: Reader) -> CallAnswer:
        """The call. Raises QueryFailed when there is none."""
        key = self.key
        if self.kind == "tool":
            found = reader.rows(_CALL_OF_TOOL, {"tool_call_id": key}).rows
            key = found[0][0] if found else key
        detail = call_detail(reader, key)
        return CallAnswer(detail, call_neighbours(reader, detail))


@dataclass(frozen=True, slots=True)
class RunningQuestion:
    """What changes of a call while it runs. `before`: what was known of it."""

    before: CallAnswer

    def read(self, reader: Reader) -> CallAnswer:
        """The same with what is new; all of it anew when the call has ended."""
        detail = self.before.detail
        call_id = str(detail.call["call_id"])
        call, running = call_now(reader, call_id)
        if call["status"] != "running":
            return CallQuestion("call", call_id).read(reader)
        return replace(self.before, detail=replace(detail, call=call, running=running))


@dataclass(frozen=True, slots=True)
class DiffQuestion:
    """What changed in a call's request since another's."""

    before: str
    after: str

    def read(self, reader: Reader) -> RequestDiff:
        """The difference."""
        return request_diff(call_detail(reader, self.before), call_detail(reader, self.after))


@dataclass(frozen=True, slots=True)
class RawQuestion:
    """Where the raw data of a call is."""

    call_id: str

    def read(self, reader: Reader) -> RawPlace:
        """The place, or why there is none."""
        return raw_place(reader, self.call_id)
