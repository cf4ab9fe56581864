"""What analysis writes back into the store: one row type for each derived table.

In: detectors and measures make them of `SessionSteps`. Out: `analysis.analyst` stores them, in
place of what it stored of the same session before. Times are nanoseconds since the Unix epoch;
`None` means not known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One `Finding`. `scope`: the session that it was found in, or the detector of many."""

    finding_id: str
    scope: str
    session_id: str | None
    kind: str
    severity: str
    first_ns: int | None
    last_ns: int | None
    title: str
    count: int
    wasted_tokens: int | None
    wasted_usd: float | None
    waited_ms: float | None
    evidence: str  # JSON list of Evidence
    found_ns: int  # when analysis first said so


@dataclass(frozen=True, slots=True)
class ToolActionRow:
    """Something that a tool call caused: a program, a file touched, a connection."""

    session_id: str
    call_id: str
    tool_call_id: str
    kind: str  # process | file | connection
    action_id: str  # process_key, file_event_id, network_event_id
    at_ns: int | None
    how: str  # why it is taken for caused: command | path | host | descendant | window
    confidence: str  # certain | likely


@dataclass(frozen=True, slots=True)
class TurnTimeRow:
    """Where the time of one turn went; a turn is from what a user said to the next such.

    The parts sum to `last_ns - first_ns`. Turns of a session follow each other without holes.
    """

    session_id: str
    turn: int  # from 0
    first_ns: int
    last_ns: int
    calls: int
    queue_ns: int  # model: request sent to first token
    generation_ns: int  # model: first token to end, without stalls
    stall_ns: int  # model: gaps between tokens that are long for this answer
    tools_ns: int
    human_ns: int  # waiting for a human: approval, question, next message
    retry_ns: int  # failed calls and backing off
    idle_ns: int  # nothing of all that


@dataclass(frozen=True, slots=True)
class ContextUseRow:
    """What fills one request. The byte parts sum to `total_bytes`, the size of the stored bodies.

    `resent_bytes` were in the request before, unchanged. `parts` is JSON: bytes of tool results
    by tool (`tools`), and of file contents by path where that can be told (`files`).
    """

    session_id: str
    call_id: str
    position: int  # of the call in its session, from 0
    at_ns: int
    messages: int
    total_bytes: int
    system_bytes: int
    tool_schema_bytes: int
    user_bytes: int
    assistant_bytes: int
    tool_result_bytes: int
    other_bytes: int
    resent_bytes: int
    grown_bytes: int | None  # against the call before; None: the first
    input_tokens: int | None
    cache_read_tokens: int | None
    compaction: str | None  # request | after | generic: see analysis.compactions
    dropped_bytes: int | None  # what a compaction left out
    parts: str


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """How one session ended."""

    session_id: str
    outcome: str  # completed | failed | gave_up | cut_off | refused | running | unknown
    reason: str
    wall_ns: int | None
    calls: int
    failed_calls: int
    tool_calls: int
    failed_tool_calls: int
    human_escalations: int
    cost_usd: float | None
    unpriced_calls: int
    tokens: int | None
    wasted_usd: float | None
    wasted_tokens: int | None


@dataclass(frozen=True, slots=True)
class FootprintRow:
    """One thing that a session touched."""

    session_id: str
    kind: str  # read | written | deleted | program | host | local_socket
    name: str  # path, executable, host:port
    count: int
    failed: int  # tries that failed
    first_ns: int | None
    last_ns: int | None
    sensitive: str | None
    asked: bool | None  # did a tool call cause it? None: not known
    detail: str | None


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One program of one agent that made calls of one session. Fingerprints are hashes."""

    session_id: str
    agent: str  # as it was recognised; empty: it was not
    agent_version: str | None
    executable: str  # path; empty: not known
    build_id: str | None
    uid: int | None
    system_prompt: str | None
    tool_set: str | None
    models: tuple[str, ...]
    calls: int
    first_ns: int
    last_ns: int
