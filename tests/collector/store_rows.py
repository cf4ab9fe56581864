"""Rows to store, each with defaults that a test overrides by name."""

from __future__ import annotations

from dataclasses import replace

from collector.rows import (
    CallRow,
    CaptureRow,
    ContentRow,
    CoverageRow,
    HealthRow,
    MessageNodeRow,
    ProcessRow,
    SessionRow,
    ToolCallRow,
)

START_NS = 1_760_000_000_123_456_000  # 2025-10-09T08:53:20.123456Z
MS = 1_000_000

_CALL = CallRow(
    call_id="c1",
    session_id="s1",
    agent="claude-code",
    agent_version="2.0.1",
    pid=4242,
    comm="node",
    provider="anthropic",
    api="anthropic.messages",
    model="claude-sonnet-4-5",
    request_model="claude-sonnet-4-5",
    host="api.anthropic.com",
    started_ns=START_NS,
    first_byte_ns=START_NS + 100 * MS,
    first_token_ns=START_NS + 250 * MS,
    ended_ns=START_NS + 1500 * MS,
    status="ok",
    http_status=200,
    error_type=None,
    error_message=None,
    stream=True,
    complete=True,
    input_tokens=1200,
    output_tokens=80,
    cache_read_tokens=1000,
    cache_write_tokens=None,
    reasoning_tokens=None,
    cost_usd=0.0125,
    cost_source="genai-prices/0.2",
    finish_reason="tool_use",
    tool_call_count=1,
    request_bytes=5000,
    response_bytes=2500,
    lost_bytes=0,
    response_id="msg_1",
    provider_request_id="req_1",
    retry_of=None,
    credential="fp1",
    params='{"max_tokens":4096}',
    rate_limits=None,
    input_node=None,
    output_node=None,
    tool_set=None,
    chunk_ns=(250 * MS, 300 * MS),
)
_TOOL = ToolCallRow(
    tool_call_id="toolu_1",
    session_id="s1",
    call_id="c1",
    name="Bash",
    arguments='{"command":"ls"}',
    arguments_hash="ah",
    result_preview="a.py",
    result_hash="rh",
    is_error=False,
    requested_ns=START_NS + 1400 * MS,
    result_ns=START_NS + 1900 * MS,
    result_call_id="c2",
)
_PROCESS = ProcessRow(
    process_key="4242-77",
    pid=4242,
    ppid=1,
    started_ns=START_NS,
    ended_ns=None,
    comm="node",
    exe="/usr/bin/node",
    argv=("node", "agent.js"),
    cwd="/src",
    uid=1000,
    cgroup_id=9,
    exit_code=None,
    signal=None,
    session_id="s1",
)
_SESSION = SessionRow("s1", "read", "claude-code", "2.0.1", None, 4242, START_NS)
_CAPTURE = CaptureRow("k1", START_NS, None, "underglass run", "0.1.0", "boot", "6.8.0")
_COVERAGE = CoverageRow(
    capture_id="k1",
    process_key="4242-77",
    pid=4242,
    started_ns=START_NS,
    program="/usr/bin/node",
    stack="openssl",
    path="/usr/lib/libssl.so.3",
    build_id=None,
    status="hooked",
    method="symbols",
    detail="",
    read_bytes=0,
    written_bytes=0,
    tls_read_bytes=0,
    tls_written_bytes=0,
    hosts=("api.anthropic.com",),
)


def call(call_id: str = "c1", **changes: object) -> CallRow:
    return replace(_CALL, call_id=call_id, **changes)  # type: ignore[arg-type]


def tool_call(tool_call_id: str = "toolu_1", **changes: object) -> ToolCallRow:
    return replace(_TOOL, tool_call_id=tool_call_id, **changes)  # type: ignore[arg-type]


def process(process_key: str = "4242-77", **changes: object) -> ProcessRow:
    return replace(_PROCESS, process_key=process_key, **changes)  # type: ignore[arg-type]


def session(session_id: str = "s1", **changes: object) -> SessionRow:
    return replace(_SESSION, session_id=session_id, **changes)  # type: ignore[arg-type]


def capture(capture_id: str = "k1", **changes: object) -> CaptureRow:
    return replace(_CAPTURE, capture_id=capture_id, **changes)  # type: ignore[arg-type]


def coverage(**changes: object) -> CoverageRow:
    return replace(_COVERAGE, **changes)  # type: ignore[arg-type]


def health(value: int, *, capture_id: str = "k1", cause: str = "") -> HealthRow:
    return HealthRow(capture_id, "openssl", "captured_bytes", cause, value)


def contents_of(*texts: str) -> list[ContentRow]:
    """One content row a text; `nodes_of` links them."""
    return [
        ContentRow(f"h-{text}", "message", "user", len(text), f'{{"text":"{text}"}}')
        for text in texts
    ]


def nodes_of(*texts: str) -> list[MessageNodeRow]:
    """The message list of `texts`; a node is named by the texts up to it."""
    return [
        MessageNodeRow(
            "/".join(texts[: at + 1]), "/".join(texts[:at]) or None, at, f"h-{texts[at]}"
        )
        for at in range(len(texts))
    ]
