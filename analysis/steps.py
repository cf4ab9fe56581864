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
    provider: str = ""
    status: str = "ok"  # running | ok | error | incomplete
    first_byte_ns: int | None = None
    first_token_ns: int | None = None
    ended_ns: int | None = None
    http_status: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    finish_reason: str | None = None
    stream: bool = False
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    tool_call_count: int = 0
    request_bytes: int = 0
    response_bytes: int | None = None
    lost_bytes: int = 0
    retry_of: str | None = None  # call_id of the failed call that this one repeats
    retry_after_s: float | None = None
    operation: str = "chat"
    agent: str | None = None
    pid: int = 0
    input_node: str | None = None  # leaf of the message list, see `analysis.turns.MessageLink`
    output_node: str | None = None
    tool_set: str | None = None
    request_model: str | None = None

    @property
    def tokens(self) -> int | None:
        """Input and output tokens together."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class ProcessStep:
    """One program run by one process of an agent's tree."""

    process_key: str
    pid: int
    ppid: int | None
    argv: tuple[str, ...]
    exe: str | None
    uid: int | None
    started_ns: int | None
    session_id: str | None
    ended_ns: int | None = None
    cwd: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    comm: str | None = None


@dataclass(frozen=True, slots=True)
class FileStep:
    """What one process did to one path, equal events in a row as one (`FileEventRow`)."""

    file_event_id: str
    process_key: str
    pid: int
    session_id: str | None  # that of its process
    first_ns: int
    last_ns: int
    count: int
    operation: str  # open | unlink | rmdir | rename | mkdir | chmod | truncate | link | symlink
    access: str | None  # of an open: read | write | read_write
    path: str
    new_path: str | None = None
    error: str | None = None  # ENOENT, EEXIST...; None: it succeeded
    creates: bool = False
    exclusive: bool = False
    truncates: bool = False
    appends: bool = False
    mode: int | None = None
    sensitive: str | None = None
    device: int | None = None
    inode: int | None = None

    @property
    def writes(self) -> bool:
        """Did it change the file, or open it so that it can?"""
        if self.error is not None:
            return False
        return self.operation != "open" or self.access in ("write", "read_write")


@dataclass(frozen=True, slots=True)
class ConnectionStep:
    """connect(2) of one process to one address, equal events in a row as one."""

    network_event_id: str
    process_key: str
    pid: int
    session_id: str | None  # that of its process
    first_ns: int
    last_ns: int
    count: int
    transport: str  # tcp | udp | unix
    address: str
    port: int | None
    name: str | None = None  # host name; None: not known
    name_source: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PrivilegeStep:
    """A system call or exec that changed, or was to change, what a process may do."""

    privilege_change_id: str
    process_key: str
    pid: int
    session_id: str | None
    at_ns: int
    change: str  # exec | setuid | setgid | capset | unshare | setns | ptrace
    error: str | None
    uid: int
    euid: int
    capabilities: tuple[str, ...]
    detail: str | None = None
    target_pid: int | None = None


@dataclass(frozen=True, slots=True)
class SightingStep:
    """Content of a sensitive file seen again in what was sent (`ContentSightingRow`)."""

    sighting_id: str
    path: str | None
    sensitive: str
    read_process_key: str
    read_ns: int
    process_key: str
    pid: int
    session_id: str | None  # that of the process that sent it
    sent_ns: int
    call_id: str | None
    host: str | None
    url_path: str | None
    encoding: str
    matched: int
    known: int
    place: str = "body"


@dataclass(frozen=True, slots=True)
class ContextNode:
    """One message of a list that is a chain of nodes. `body` is its JSON text, when kept."""

    node: str
    parent_node: str | None
    position: int
    kind: str | None  # message | system
    role: str | None
    size_bytes: int | None
    content_hash: str
    body: str | None


@dataclass(frozen=True, slots=True)
class SessionStep:
    """One session, as `collector.rows.SessionRow` has it."""

    session_id: str
    confidence: str
    agent: str | None
    agent_version: str | None
    parent_session_id: str | None
    root_pid: int | None
    started_ns: int


@dataclass(frozen=True, slots=True)
class SessionSteps:
    """Everything that detectors may read of one session, each part in order of time.

    `processes` are those of the session and their ancestors; files, connections, privileges and
    sightings those of these processes.
    """

    session: SessionStep
    calls: tuple[CallStep, ...] = ()
    tools: tuple[ToolStep, ...] = ()
    turns: tuple[UserTurn, ...] = ()
    processes: tuple[ProcessStep, ...] = ()
    files: tuple[FileStep, ...] = ()
    connections: tuple[ConnectionStep, ...] = ()
    privileges: tuple[PrivilegeStep, ...] = ()
    sightings: tuple[SightingStep, ...] = ()


EvidenceKind = Literal["call", "tool", "process", "file", "connection", "privilege", "session"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing in the store that a finding rests on. `note` is for people.

    `id` is the row's key in its view: call_id, tool_call_id, process_key, file_event_id...
    """

    kind: EvidenceKind
    id: str
    note: str
    at_ns: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector says, with what it rests on.

    `count` is the number of repeats or of occurrences; `evidence` may list fewer.
    `wasted_tokens` and `wasted_usd` are what the calls after the first round cost; None: not
    known. `waited_ms`: how long somebody or something was waited for.
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
    wasted_usd: float | None = None
    waited_ms: float | None = None


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
