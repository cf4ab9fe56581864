"""What detectors read and what they say: typed steps in, findings out.

In: `analysis.findings` builds steps from the store's rows; a live collector may build them as
calls complete. Out: `Finding`, which the CLI, the TUI and the exporters show. Times are
nanoseconds since the Unix epoch; `None` means not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from collector.normalisation import arguments_hash, canonical_arguments, result_hash

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class ToolStep:
    """One tool call with its result. The hashes decide equality; the texts may be cut short."""

    tool_call_id: str
    session_id: str
    call_id: str
    name: str
    arguments: str | None
    arguments_hash: str
    result: str | None  # the result or its beginning
    result_hash: str | None  # None: no result was seen
    is_error: bool | None
    requested_ns: int
    result_ns: int | None = None
    result_call_id: str | None = None  # the call whose request carried the result


@dataclass(frozen=True, slots=True)
class UserTurn:
    """Text that a request carried in the user's name, apart from tool results."""

    session_id: str
    call_id: str  # the first call whose request carried it
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class CallStep:
    """One LLM call, as far as detectors need it."""

    call_id: str
    session_id: str
    model: str | None
    started_ns: int
    input_tokens: int | None
    output_tokens: int | None

    @property
    def tokens(self) -> int | None:
        """Input and output tokens together."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class ProcessStep:
    """One process of an agent's tree."""

    process_key: str
    pid: int
    ppid: int | None
    argv: tuple[str, ...]
    exe: str | None
    uid: int | None
    started_ns: int | None
    session_id: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing in the store that a finding rests on. `note` is for people."""

    kind: Literal["call", "tool", "process"]
    id: str
    note: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector says, with what it rests on.

    `count` is the number of repeats or of occurrences; `evidence` may list fewer.
    `wasted_tokens` is what the calls after the first round cost; None: not known.
    """

    kind: str
    session_id: str | None
    severity: Severity
    first_at_ns: int | None
    last_at_ns: int | None
    title: str
    evidence: tuple[Evidence, ...]
    count: int = 1
    wasted_tokens: int | None = None


def tool_step(
    tool_call_id: str,
    name: str,
    arguments: str | None,
    result: str | None,
    *,
    session_id: str = "",
    call_id: str,
    is_error: bool | None = None,
    requested_ns: int,
    result_ns: int | None = None,
    result_call_id: str | None = None,
) -> ToolStep:
    """A step from whole texts, hashed here as the collector hashes them."""
    return ToolStep(
        tool_call_id=tool_call_id,
        session_id=session_id,
        call_id=call_id,
        name=name,
        arguments=None if arguments is None else canonical_arguments(arguments),
        arguments_hash=arguments_hash(arguments or ""),
        result=result,
        result_hash=None if result is None else result_hash(result),
        is_error=is_error,
        requested_ns=requested_ns,
        result_ns=result_ns,
        result_call_id=result_call_id,
    )
