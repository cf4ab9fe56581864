"""A capture with something in every table, as a recording, and stores to compare."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from collector.capture_info import CaptureInfo
from collector.database import attach, run
from collector.decoding import decode
from collector.recording import RecordingReader, RecordingWriter
from collector.redaction import Redactor
from collector.store import Store
from collector.tables import TABLES
from probes import frames
from probes.events import ConnectionKey, CredentialChange, FileOperation
from tests.action_frames import (
    CREATE,
    WRITE,
    answer_to,
    connect,
    connected_frame,
    dns_frame,
    privilege,
    privilege_frame,
    touch,
    touched_frame,
)
from tests.collector import agent_traffic
from tests.collector.test_channels import ENDS, talk
from tests.collector.test_content_sightings import SECRETS, posts, reads
from tests.collector.test_pipeline import agents_day
from tests.frames import (
    AGENT,
    INFO,
    SALT,
    SECOND,
    STARTED_NS,
    Wire,
    answer,
    ask,
    assistant,
    http_request,
    http_response,
    text,
    tool_result,
    tool_use,
    user,
)

Tables = dict[str, list[tuple[Any, ...]]]
MS = 1_000_000
NOT_COMPARED = ("decoded_by", "decoded_ns", "raw_path", "raw_bytes", "raw_state")


def openai_call(number: int, at: int) -> list[bytes]:
    """One call of Chat Completions on a connection of its own."""
    asked = {"model": "gpt-4o-mini", "messages": [user(f"question {number}")]}
    said = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": assistant(text("yes"))}],
        "usage": {"prompt_tokens": 10 + number, "completion_tokens": 1, "total_tokens": 11},
    }
    request = http_request(
        "/v1/chat/completions", json.dumps(asked).encode(), host="api.openai.com"
    )
    wire = Wire(ConnectionKey(AGENT, STARTED_NS, 0x7F00_9000 + number, 1), at)
    return wire.sends(request).receives(http_response(json.dumps(said).encode())).closes().frames


def late_turns(epoch: int, at: int) -> list[bytes]:
    """A tool call whose result comes two turns later, on a connection of its own."""
    first = [user("look again")]
    second = [
        *first,
        assistant(text("Looking."), tool_use("toolu_9", "cat README.md")),
        tool_result("toolu_9", "# Title"),
    ]
    wire = Wire(ConnectionKey(AGENT, STARTED_NS, 0x7F00_5000, epoch), at)
    wire.sends(ask(first)).receives(answer(text("Looking."), tool_use("toolu_9", "cat README.md")))
    wire.sends(ask(second)).receives(answer(text("Done."), message_id="msg_09"))
    return wire.closes().frames


def spoken(handle: int, at: int, steps: Iterable[agent_traffic.Step]) -> list[bytes]:
    """A connection of its own on which these are sent."""
    wire = Wire(ConnectionKey(AGENT, STARTED_NS, handle, 1), at)
    for direction, data in steps:
        (wire.sends if direction == agent_traffic.WRITE else wire.receives)(data)
    return wire.closes().frames


def provider_request(at: int) -> list[bytes]:
    """A request to a provider that infers nothing."""
    model = {"id": "gpt-4o-mini", "object": "model", "created": 1, "owned_by": "openai"}
    models = json.dumps({"object": "list", "data": [model]}).encode()
    asked = http_request("/v1/models", method="GET", host="api.openai.com")
    steps = [(agent_traffic.WRITE, asked), (agent_traffic.READ, http_response(models))]
    return spoken(0x7F00_A000, at, steps)


def actions(at: int) -> list[bytes]:
    """Files, connections with and without a name, and a change of privileges."""
    rename: dict[str, Any] = {"operation": FileOperation.RENAME, "result": 0, "new_path": "/src/b"}
    return [
        *(touched_frame(touch("/src/a", at + number * MS)) for number in range(3)),
        touched_frame(touch("/src/a", at + 4 * MS, flags=WRITE | CREATE)),
        touched_frame(touch("/src/a", at + 5 * MS, **rename)),
        dns_frame(answer_to("api.anthropic.com", "192.0.2.7", at=at + 6 * MS)),
        connected_frame(connect("192.0.2.7", at=at + 7 * MS)),
        connected_frame(connect("192.0.2.8", at=at + 8 * MS, result=-111)),
        connected_frame(connect("/run/agent.sock", 0, at + 9 * MS, transport="unix")),
        privilege_frame(privilege(CredentialChange.UNSHARE, at + 10 * MS, argument=0x10000000)),
    ]


def in_order(captured: Iterable[bytes]) -> list[bytes]:
    return sorted(captured, key=lambda one: int(frames.HEADER.unpack_from(one)[4]))


def everything() -> list[bytes]:
    """Calls of several APIs over HTTP/1, HTTP/2 and WebSocket, tools, processes and what they do,
    TLS stacks and JSON-RPC over pipes."""
    calls = [one for number in range(3) for one in openai_call(number, (4 + number) * SECOND)]
    http2 = agent_traffic.over_http2([agent_traffic.gemini(1), agent_traffic.messages(2)])
    return in_order(
        [
            *agents_day(),
            *ENDS,
            *talk().closes().frames,
            *calls,
            *spoken(0x7F00_B000, 7 * SECOND, http2),
            *spoken(0x7F00_C000, 8 * SECOND, agent_traffic.over_websocket([3, 4])),
            *provider_request(8 * SECOND),
            *late_turns(1, 9 * SECOND),
            *actions(10 * SECOND),
            *reads(SECRETS, pid=AGENT, at=2 * SECOND),
            *posts(
                SECRETS.encode(),
                key=ConnectionKey(AGENT, STARTED_NS, 0x7F00_D000, 1),
                at=2 * SECOND + 100 * MS,
            ),
        ]
    )


def later_capture() -> tuple[CaptureInfo, list[bytes]]:
    """Another capture of the same agent, which says some of the same again."""
    info = replace(INFO, capture_id="beefbeefbeefbeef", started_ns=INFO.started_ns + 60 * SECOND)
    return info, in_order([*late_turns(2, 20 * SECOND), *openai_call(7, 21 * SECOND)])


def record(
    path: Path,
    captured: Sequence[bytes],
    info: CaptureInfo = INFO,
    *,
    limit_bytes: int | None = None,
    flush_every: int = 5,
) -> Path:
    redactor = Redactor(SALT)
    writer = RecordingWriter(path, info, limit_bytes)
    for number, one in enumerate(captured):
        writer.add(redactor.frame(one))
        if number % flush_every == 0:
            writer.flush()
    writer.close()
    return path


def replayed(store: Path, *recordings: Path, content: bool = True) -> Path:
    """A store into which the recordings were decoded, one after the other."""
    with Store.open(store, content=content) as opened:
        for recording in recordings:
            reader = RecordingReader(recording)
            decode(reader, Redactor(SALT), opened.write, version="0.1.0", content=content)
            reader.close()
    return store


def tables_of(store: Path) -> Tables:
    """Every row of every table, in an order of its own, without who decoded it and when."""
    connection = attach(store, writing=False)
    try:
        found = {}
        for table in TABLES:
            names = [name for name in table.schema.names if name not in NOT_COMPARED]
            if table.name == "message_node":
                names.remove("at_ns")  # which capture brought a shared node first
            found[table.name] = sorted(
                run(connection, f"SELECT {', '.join(names)} FROM {table.name}"), key=repr
            )
        return found
    finally:
        connection.close()
