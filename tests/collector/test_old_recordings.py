"""A recording by a version that read HTTP/1 alone gives what that version stored.

`recordings/http1.uglass`: a real capture of OpenAI's client, eight calls; `http1.json`: what the
version that recorded it read from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analysis.reading import open_reader
from tests.collector.captures import replayed

RECORDINGS = Path(__file__).with_name("recordings")
QUERIES = {
    "calls": "SELECT call_id, session_id, agent, comm, provider, api, model, request_model, host,"
    " epoch_us(started_at) AS started_us, duration_ms, ttft_ms, status, http_status, stream,"
    " complete, input_tokens, output_tokens, cache_read_tokens, reasoning_tokens, finish_reason,"
    " tool_call_count, request_bytes, response_bytes, lost_bytes, response_id,"
    " provider_request_id, credential FROM calls ORDER BY started_at",
    "tools": "SELECT tool_call_id, call_id, name, arguments, arguments_hash FROM tools"
    " ORDER BY tool_call_id",
    "messages": "SELECT call_id, position, role, kind, body, side, content_hash FROM messages"
    " ORDER BY call_id, position",
    "chunks": "SELECT call_id, chunk_ms FROM chunks ORDER BY call_id",
    "processes": "SELECT process_key, pid, ppid, comm, argv, exit_code, session_id FROM processes"
    " ORDER BY process_key",
}


def read(store: Path) -> dict[str, Any]:
    with open_reader(store) as reader:
        found = {name: reader.rows(sql).records() for name, sql in QUERIES.items()}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def test_http1(tmp_path: Path) -> None:
    expected = json.loads((RECORDINGS / "http1.json").read_text())
    found = read(replayed(tmp_path / "s.db", RECORDINGS / "http1.uglass"))
    assert len(found["calls"]) == 8
    for name in QUERIES:
        assert found[name] == expected[name], name
