"""A session with a stall, a retry, a wait for the user, and tool calls with what they caused.

Times are in milliseconds from `START_NS`. The agent is process 4242.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analysis.analyst import analyse
from collector.rows import (
    Batch,
    CallRow,
    ContentRow,
    FileEventRow,
    MessageNodeRow,
    NetworkEventRow,
    ProcessRow,
    SessionRow,
)
from collector.store import Store
from tests.collector.store_rows import MS, START_NS, call, capture, process, session, tool_call

AGENT = "b:4242:1"
SHELL = "b:4300:2"
CAT = "b:4301:3"
CHUNKS = (500, 600, 700, 800, 1900)
_KEY = "/home/u/.ssh/id_rsa"
_READ = (
    "/usr/lib/libc.so.6", "/etc/ld.so.cache", "/usr/share/a", "/usr/share/b",
    "/src/notes.txt", "/src/more.txt", "/src/\x1b[2J[bold]odd", _KEY,
)  # fmt: skip


def at(ms: float) -> int:
    """That moment, in nanoseconds since the epoch."""
    return START_NS + int(ms * MS)


def acted_batch() -> Batch:
    """Four calls, two tool calls, three processes, eight files, two connections."""
    return Batch(
        captures=[capture(ended_ns=at(12_000))],
        sessions=[session("s1", started_ns=START_NS)],
        calls=[
            _call("c1", 0, 500, 2000, CHUNKS, input_node="n0"),
            _call(
                "c2", 4000, None, 4200, (), status="error", http_status=529,
                error_type="overloaded_error", tool_call_count=0, output_tokens=None,
            ),
            _call("c3", 5000, 5300, 6500, (), retry_of="c2", tool_call_count=0),
            _call("c4", 10_000, 10_200, 11_000, (), input_node="n2", tool_call_count=0),
        ],
        tool_calls=[
            tool_call(
                "t1", call_id="c1", name="Bash", arguments='{"command":"cat notes.txt"}',
                requested_ns=at(2000), result_ns=at(4000), result_call_id="c2", is_error=True,
            ),
            tool_call(
                "t2", call_id="c1", name="Read", arguments='{"file_path":"/src/plan.md"}',
                arguments_hash="r", requested_ns=at(2001), result_ns=at(4000), result_call_id="c2",
            ),
        ],
        processes=[
            process(AGENT, started_ns=at(-100)),
            _program(SHELL, 4300, 4242, 2100, 3900, "/bin/sh", "-c", "cat notes.txt"),
            _program(CAT, 4301, 4300, 2200, 2400, "cat", "notes.txt", exit_code=1),
        ],
        file_events=[
            *(_read(number, path) for number, path in enumerate(_READ)),
            _read(20, "/src/gone", error="ENOENT"),
            _read(21, "/src/out", access="write"),
            _read(22, "/src/plan.md", process_key=AGENT, pid=4242, at_ms=2600),
        ],
        network_events=[
            _connection("n1", CAT, 4301, 2300, "files.example"),
            _connection("n2", AGENT, 4242, 7000, "tracker.example"),
        ],
        contents=[
            ContentRow(
                f"h{number}", "message", role, 9, json.dumps({"role": role, "content": said})
            )
            for number, (role, said) in enumerate(
                (("user", "Do it"), ("assistant", "Done"), ("user", "And now?"))
            )
        ],
        nodes=[
            MessageNodeRow(f"n{number}", f"n{number - 1}" if number else None, number, f"h{number}")
            for number in range(3)
        ],
    )  # fmt: skip


def sub_agent() -> tuple[SessionRow, CallRow]:
    """A sub-agent whose call still runs."""
    return (
        session("s2", parent_session_id="s1", started_ns=at(11_500)),
        _call(
            "d1", 11_500, None, None, (), session_id="s2", status="running", complete=False,
            output_tokens=None, tool_call_count=0,
        ),
    )  # fmt: skip


def acted_store(path: Path) -> Path:
    """A closed store that holds the session, analysed."""
    with Store.open(path) as store:
        store.write(acted_batch())
        analyse(store)
    return path


def _call(
    call_id: str, start: int, token: int | None, end: int | None, chunks: Any, **more: Any
) -> CallRow:
    values: dict[str, Any] = {
        "started_ns": at(start),
        "first_byte_ns": None if token is None else at(token),
        "first_token_ns": None if token is None else at(token),
        "ended_ns": None if end is None else at(end),
        "chunk_ns": tuple(ms * MS for ms in chunks),
    }
    return call(call_id, **(values | more))


def _program(
    key: str, pid: int, ppid: int, start: int, end: int, *argv: str, **more: Any
) -> ProcessRow:
    values: dict[str, Any] = {"exit_code": 0, "exe": argv[0], "comm": argv[0][:15]} | more
    return process(
        key, pid=pid, ppid=ppid, started_ns=at(start), ended_ns=at(end), argv=argv, **values
    )


def _read(number: int, path: str, **more: Any) -> FileEventRow:
    at_ns = at(more.pop("at_ms", 2210 + number))
    values: dict[str, Any] = {
        "process_key": CAT, "pid": 4301, "access": "read", "error": None,
        "sensitive": "ssh_key" if path == _KEY else None,
    }  # fmt: skip
    return FileEventRow(
        file_event_id=f"f{number}", capture_id="k1", first_ns=at_ns, last_ns=at_ns,
        count=number + 1, operation="open", path=path, new_path=None, **(values | more),
    )  # fmt: skip


def _connection(id: str, key: str, pid: int, ms: int, name: str) -> NetworkEventRow:
    return NetworkEventRow(
        network_event_id=id, capture_id="k1", process_key=key, pid=pid, first_ns=at(ms),
        last_ns=at(ms), count=1, transport="tcp", address="203.0.113.9", port=443, name=name,
        name_source="dns", error=None,
    )  # fmt: skip
