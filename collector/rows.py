"""Rows as the store keeps them: the last types of the pipeline.

In: `collector.calls`, `collector.processes` and `collector.health` build them.
Out: `collector.store` writes them. Times are nanoseconds since the Unix epoch, UTC
(kernel time plus the one recorded clock offset). `None` is SQL NULL: not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CallRow:
    """One LLM call. Written when the request was sent (`status='running'`), again at its end."""

    call_id: str
    session_id: str
    agent: str | None
    agent_version: str | None
    pid: int
    comm: str | None
    provider: str
    api: str
    model: str | None
    request_model: str | None
    host: str | None
    started_ns: int
    first_byte_ns: int | None
    first_token_ns: int | None
    ended_ns: int | None
    status: str  # running | ok | error | incomplete
    http_status: int | None
    error_type: str | None
    error_message: str | None
    stream: bool
    complete: bool
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    cost_source: (
        str | None
    )  # provider | genai-prices/<version> | override | unpriced | None: no usage; or estimated:...
    finish_reason: str | None
    tool_call_count: int
    request_bytes: int
    response_bytes: int | None
    lost_bytes: int
    response_id: str | None
    provider_request_id: str | None
    retry_of: str | None  # call_id of the failed call that this one repeats
    credential: str | None  # salted fingerprint of the key used
    params: str | None  # JSON object: request parameters other than messages, system, tools
    rate_limits: str | None  # JSON object, see collector.llm.rate_limits
    input_node: str | None  # leaf of the message list, see MessageNodeRow
    output_node: str | None  # same, with the assistant's output appended
    tool_set: str | None  # see ToolSetRow
    tls_stack: str | None = None  # openssl, boringssl...; none: a plain socket
    local_address: str | None = None  # 127.0.0.1:40000 or [::1]:40000
    remote_address: str | None = None
    capture_id: str | None = None  # None: written by a version that did not say
    operation: str = "chat"  # OpenTelemetry's gen_ai.operation.name
    protocol: str | None = None  # http/1.1 | http/2 | websocket
    usage_source: str | None = None  # reported | estimated | output_estimated | None: no usage
    attempt: int | None = None  # 1 for the first, as the client's headers count; None: not said
    service_tier: str | None = None  # as the response says, else as the request asks
    initiator: str | None = None  # user | agent, where the client says who asked
    retry_after_s: float | None = None  # how long the provider asked to wait
    chunk_ns: tuple[int, ...] = ()  # offsets from started_ns of each content chunk


@dataclass(frozen=True, slots=True)
class ProviderRequestRow:
    """One request to a provider that infers nothing. Written once, when its exchange ended."""

    request_id: str
    capture_id: str
    session_id: str | None  # only where the client says it on the wire
    pid: int
    comm: str | None
    agent: str | None
    agent_version: str | None
    provider: str
    host: str | None
    kind: str  # count_tokens, list_models..., see collector.llm.request_kinds
    model: str | None
    started_ns: int
    ended_ns: int
    http_status: int | None
    status: str  # ok | error | incomplete
    error_type: str | None
    error_message: str | None
    counted_tokens: int | None
    item_count: int | None  # models, batches or files listed; requests in a batch; results in it
    batch_id: str | None
    batch_status: str | None  # in the provider's word
    request_bytes: int
    response_bytes: int | None
    credential: str | None  # salted fingerprint of the key used
    protocol: str


@dataclass(frozen=True, slots=True)
class ToolCallRow:
    """One tool call. Written when the model made it, again when its result came back."""

    tool_call_id: str  # the provider's id, or one derived from call_id and index
    session_id: str
    call_id: str
    name: str
    arguments: str | None  # canonical JSON text; raw text when it is not JSON; None: no content
    arguments_hash: str  # of the canonical JSON
    result_preview: str | None  # first 2,000 characters
    result_hash: str | None  # of the normalised result, see collector.normalisation
    is_error: bool | None
    requested_ns: int
    result_ns: int | None
    result_call_id: str | None  # the call whose request carried the result


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One program run by one process."""

    process_key: str  # boot-unique: pid and kernel start time
    pid: int
    ppid: int | None
    started_ns: int | None  # None: it ran before capture and its start is not known
    ended_ns: int | None
    comm: str | None
    exe: str | None
    argv: tuple[str, ...]
    cwd: str | None
    uid: int | None
    cgroup_id: int | None
    exit_code: int | None
    signal: int | None
    session_id: str | None
    argv_truncated: bool = False


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One conversation of one agent with its models."""

    session_id: str
    confidence: str  # read (from the wire) | inferred (message-list lineage)
    agent: str | None
    agent_version: str | None
    parent_session_id: str | None
    root_pid: int | None
    started_ns: int
    parent_source: str | None = None  # read (from the wire) | prompt | process; None: no parent


@dataclass(frozen=True, slots=True)
class RpcChannelRow:
    """One direction of JSON-RPC between two processes, or between one and a server over HTTP.

    An end that no process in scope used, or more than one, is None. Over HTTP all exchanges of a
    process with one server, in one session if there are sessions, are one channel each way.
    """

    channel_id: str
    capture_id: str
    inode: int | None  # None: over HTTP
    transport: str | None  # pipe | unix | http | sse (HTTP+SSE, as MCP had it before 2025-03-26)
    writer_pid: int | None
    writer_process: str | None  # as process_key begins
    writer_started_ns: int | None
    writer_comm: str | None
    reader_pid: int | None
    reader_process: str | None
    reader_started_ns: int | None
    reader_comm: str | None
    sender: str | None  # client | server: which of them writes, when a method told
    protocol: str | None = None  # mcp | a2a | lsp
    protocol_version: str | None = None  # as agreed; as the client says where nothing is agreed
    server_name: str | None = None  # as it names itself
    server_version: str | None = None
    server_skills: int | None = None  # of an A2A agent, as its card lists them
    client_name: str | None = None
    client_version: str | None = None
    url: str | None = None  # host, port and path; None: not over HTTP
    mcp_session: str | None = None  # fingerprint of the session's id


@dataclass(frozen=True, slots=True)
class RpcMessageRow:
    """One JSON-RPC message. Written when it was whole; a response again if paired later."""

    message_id: str
    capture_id: str
    channel_id: str
    started_ns: int  # first byte
    ended_ns: int  # last byte
    kind: str  # request | notification | response | error | unknown (truncated)
    rpc_id: str | None  # JSON text
    method: str | None  # of a response, that of its request
    tool: str | None  # what tools/call calls
    is_error: bool | None  # of a response
    answers: str | None  # message_id of the request
    size_bytes: int
    truncated: bool
    batch_index: int | None
    content_hash: str | None  # see ContentRow; None when truncated, or without a body
    position: int | None = None  # orders messages of one direction that came at one time
    error_code: int | None = None
    error_message: str | None = None  # None with --no-content
    task_id: str | None = None
    task_state: str | None = None  # as the protocol's version spells it
    context_id: str | None = None  # of A2A
    result_type: str | None = None  # of MCP since 2026-07-28: complete | input_required
    http_status: int | None = None  # of the response to the exchange that carried it
    cancelled: bool = False  # of a request: who sent it gave it up


@dataclass(frozen=True, slots=True)
class ContentRow:
    """A message, system prompt or tool schema, once by hash. `body` is None with --no-content."""

    content_hash: str
    kind: str  # message | system | tool | rpc
    role: str | None
    size_bytes: int
    body: str | None  # JSON text


@dataclass(frozen=True, slots=True)
class MessageNodeRow:
    """One link of a message list: a list is its leaf node, followed through `parent_node`.

    Lists that share a beginning share its nodes, so a conversation that resends its history
    adds only what is new.
    """

    node: str
    parent_node: str | None
    position: int
    content_hash: str
    at_ns: int | None = None  # start of the call that brought it first; None: older stores


@dataclass(frozen=True, slots=True)
class ToolSetRow:
    """One member of a set of tool schemas offered to the model."""

    tool_set: str
    position: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class HealthRow:
    """One counter of one capture run: (source, counter, cause) -> value, latest value wins."""

    capture_id: str
    source: str  # openssl, socket, process, http, ...
    counter: str  # captured_events, captured_bytes, lost_events, lost_bytes, undecoded_bytes...
    cause: str  # '' when the counter has no cause
    value: int


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One TLS stack in one process, or a process that talks TLS without one that is known."""

    capture_id: str
    process_key: str
    pid: int
    started_ns: int | None
    program: str | None  # executable, else short name
    stack: str  # openssl, boringssl, gnutls, nss, go, rustls, mbedtls, wolfssl, unknown
    path: str | None  # the file that holds the stack
    build_id: str | None
    status: str  # hooked | on_trial | not_hooked | rejected | unseen
    method: str  # how the hook points were found: symbols, or a resolver's name
    detail: str
    read_bytes: int  # plaintext that went through the hooks, lost and ignored bytes included
    written_bytes: int
    tls_read_bytes: int  # TLS records on sockets, of the whole process
    tls_written_bytes: int
    hosts: tuple[str, ...]  # models' hosts that it talked to


@dataclass(frozen=True, slots=True)
class FileEventRow:
    """What one process did to one path, equal events in a row as one.

    Events are equal when all but the time are; any other event of that process on that path, a
    pause (`collector.folding`), or `collector.file_events`' limit, ends the row. Written again as
    `count` grows.
    """

    file_event_id: str
    capture_id: str
    process_key: str
    pid: int
    first_ns: int
    last_ns: int
    count: int
    operation: str  # open | unlink | rmdir | rename | mkdir | chmod | truncate | link | symlink
    access: str | None  # of an open: read | write | read_write
    path: str
    new_path: str | None  # of rename and link the new name, of symlink that of the link
    error: str | None  # ENOENT, EEXIST...; None: it succeeded
    creates: bool = False  # O_CREAT
    exclusive: bool = False  # O_EXCL
    truncates: bool = False  # O_TRUNC
    appends: bool = False  # O_APPEND
    mode: int | None = None  # of chmod
    size_bytes: int | None = None  # of truncate
    device: int | None = None
    inode: int | None = None
    sensitive: str | None = None  # why the path is sensitive, see collector.sensitive
    truncated: bool = False  # the path is not whole


@dataclass(frozen=True, slots=True)
class NetworkEventRow:
    """connect(2) of one process to one address, equal events in a row as one."""

    network_event_id: str
    capture_id: str
    process_key: str
    pid: int
    first_ns: int
    last_ns: int
    count: int
    transport: str  # tcp | udp | unix
    address: str
    port: int | None
    name: str | None  # host name by which it was reached; None: not known
    name_source: str | None  # dns | tls | http: where the name was read
    error: str | None  # ECONNREFUSED...; None: it succeeded or is under way


@dataclass(frozen=True, slots=True)
class PrivilegeChangeRow:
    """A system call, or an exec, that changed or was to change what a process may do."""

    privilege_change_id: str
    capture_id: str
    process_key: str
    pid: int
    at_ns: int
    change: str  # exec | setuid | setgid | capset | unshare | setns | ptrace
    error: str | None
    uid: int
    euid: int
    capabilities: tuple[str, ...]  # effective, as capabilities(7) names them; all: ("all",)
    detail: str | None  # namespaces of unshare and setns, request of ptrace
    target_pid: int | None  # of ptrace


@dataclass(frozen=True, slots=True)
class ContentSightingRow:
    """Content of a sensitive file that was read, seen again in something that was sent."""

    sighting_id: str
    capture_id: str
    path: str | None  # the sensitive file
    sensitive: str  # why it is
    read_process_key: str
    read_ns: int
    process_key: str  # who sent it
    pid: int
    sent_ns: int
    call_id: str | None  # the LLM call that carried it; None: another exchange
    host: str | None
    url_path: str | None  # of an exchange that is no call, without its query
    encoding: str  # plain | base64 | hex | percent | gzip; in each other: outer+inner
    matched: int  # fingerprints of the file that were seen
    known: int  # fingerprints of what was read of it
    place: str  # message (of a call) | body | url | header | credential (header) | rpc


@dataclass(frozen=True, slots=True)
class RunningAnswerRow:
    """What a running call has said so far; without `body`, its call has ended."""

    call_id: str
    body: str | None  # JSON: the output so far as in `MessageNodeRow`s, a list
    output_tokens: int | None  # estimated
    updated_ns: int  # when the last of it came


@dataclass(frozen=True, slots=True)
class CaptureRow:
    """One run of a collector."""

    capture_id: str
    started_ns: int
    ended_ns: int | None
    command: str
    version: str
    boot_id: str
    kernel: str
    raw_path: str | None = None  # the recording kept beside the store
    raw_bytes: int | None = None  # its size; None while it grows, and after a crash
    raw_state: str | None = None  # open | whole | size_limit | write_failed
    decoded_by: str | None = None  # version of underglass whose rows these are
    decoded_ns: int | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    captures: list[CaptureRow] = field(default_factory=list)
    sessions: list[SessionRow] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    tool_calls: list[ToolCallRow] = field(default_factory=list)
    provider_requests: list[ProviderRequestRow] = field(default_factory=list)
    processes: list[ProcessRow] = field(default_factory=list)
    contents: list[ContentRow] = field(default_factory=list)
    nodes: list[MessageNodeRow] = field(default_factory=list)
    tool_sets: list[ToolSetRow] = field(default_factory=list)
    file_events: list[FileEventRow] = field(default_factory=list)
    network_events: list[NetworkEventRow] = field(default_factory=list)
    privilege_changes: list[PrivilegeChangeRow] = field(default_factory=list)
    content_sightings: list[ContentSightingRow] = field(default_factory=list)
    rpc_channels: list[RpcChannelRow] = field(default_factory=list)
    rpc_messages: list[RpcMessageRow] = field(default_factory=list)
    health: list[HealthRow] = field(default_factory=list)
    coverage: list[CoverageRow] = field(default_factory=list)
    running_answers: list[RunningAnswerRow] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many rows it holds."""
        return sum(len(getattr(self, name)) for name in self.__slots__)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)
