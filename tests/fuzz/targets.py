"""The table of harnesses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import (
    of_actions,
    of_analysis,
    of_captures,
    of_connections,
    of_exchanges,
    of_framings,
    of_http,
    of_llm,
    of_streams,
)

_ALL_APIS = 150_000


class Target(NamedTuple):
    """One decoder under test, or several that the first bytes (`head`) of an input choose from.

    `max_bytes`: of an input; `json`: its data most often is JSON; `max_kept_bytes`: of what the
    repository keeps.
    """

    run: Callable[[bytes], None]
    max_bytes: int = 4096
    json: bool = False
    head: int = 0
    max_kept_bytes: int = 40_000


TARGETS: dict[str, Target] = {
    "sse": Target(of_framings.sse),
    "http1_requests": Target(of_http.requests),
    "http1_responses": Target(of_http.responses),
    "chunked": Target(of_http.chunked),
    "codings": Target(of_http.codings),
    "json_rpc": Target(of_streams.json_rpc, json=True),
    "hpack_fields": Target(of_http.hpack_fields),
    "http2_requests": Target(of_connections.http2_requests),
    "http2_responses": Target(of_connections.http2_responses),
    "websocket_frames": Target(of_connections.websocket_frames),
    "json_lines": Target(of_framings.json_lines),
    "json_array": Target(of_framings.json_array),
    "json_sequence": Target(of_framings.json_sequence),
    "event_stream": Target(of_framings.event_stream),
    "multipart": Target(of_framings.multipart),
    "llm_requests": Target(of_llm.requests, 8192, json=True, head=1, max_kept_bytes=_ALL_APIS),
    "llm_responses": Target(of_llm.responses, 8192, json=True, head=1, max_kept_bytes=_ALL_APIS),
    "exchange": Target(of_exchanges.exchange, 8192, json=True),
    "socket_messages": Target(of_exchanges.socket_messages, json=True),
    "provider_requests": Target(of_exchanges.provider_requests, json=True),
    "connection": Target(of_captures.connection),
    "redaction": Target(of_captures.redaction),
    "http2_redaction": Target(of_captures.http2_redaction),
    "websocket_redaction": Target(of_captures.websocket_redaction),
    "redacted_text": Target(of_captures.redacted_text),
    "client_hello": Target(of_streams.client_hello, 1024),
    "frames": Target(of_streams.frames_decoded),
    "recording": Target(of_streams.recording),
    "pipeline": Target(of_captures.pipeline, 8192),
    "captured_frames": Target(of_captures.captured_frames, 8192),
    "dns": Target(of_actions.dns, 1024),
    "path_masks": Target(of_actions.path_masks),
    "fingerprints": Target(of_actions.fingerprints),
    "understanding": Target(of_analysis.understanding, json=True),
}
