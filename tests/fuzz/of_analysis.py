"""Harness of everything that analysis says of a family of sessions.

The data is a list of JSON values. Each is the body of one more message, arguments of a tool call
and a result; its texts are also command lines, paths, hosts and names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import orjson

from analysis.derived import TurnTimeRow
from analysis.session_rows import Family
from analysis.steps import (
    CallStep,
    ConnectionStep,
    ContextNode,
    FileStep,
    PrivilegeStep,
    ProcessStep,
    SessionStep,
    SessionSteps,
    SightingStep,
    ToolStep,
    tool_step,
)
from analysis.turns import MessageLink, user_turns
from analysis.understanding import Understanding, understand
from tests.fuzz.steps import Input, parsed

MS = 1_000_000
_DATELESS = (1, 2, 3, 5, 6)  # rows that neither the present nor the time of finding is part of
AGENT = 100
_MOST_MESSAGES = 24
_MOST_TEXTS = 60
_ROLES = ("user", "assistant", "tool", "system", None)
_STATUSES = ("ok", "error", "incomplete", "running")
_OPERATIONS = ("open", "rename", "unlink", "link", "truncate", "chmod", "mkdir")
_CHANGES = ("setuid", "exec", "unshare", "setns", "ptrace", "capset")


def understanding(raw: bytes) -> None:
    """A family of two sessions: nothing raises, the same rows give the same answers, and what a
    finding rests on is there."""
    source = parsed(raw)
    family = _family(source)
    found, again = understand(family), understand(family, now_ns=10**18)
    assert found.findings == again.findings
    assert [found.rows[n] for n in _DATELESS] == [again.rows[n] for n in _DATELESS]
    _is_evident(found, family)
    ids = [row.finding_id for row in found.rows[0]]
    assert len(set(ids)) == len(ids)
    for row in found.rows[2]:
        assert isinstance(row, TurnTimeRow)
        parts = (value for name, value in asdict(row).items() if name.endswith("_ns"))
        assert sum(parts) - row.first_ns - row.last_ns == row.last_ns - row.first_ns
    for row in found.rows[3]:
        sizes = asdict(row)
        named = ("system", "tool_schema", "user", "assistant", "tool_result", "other")
        assert sum(sizes[f"{name}_bytes"] for name in named) == row.total_bytes
        assert 0 <= row.resent_bytes <= row.total_bytes


def _is_evident(found: Understanding, family: Family) -> None:
    together = family.together
    ids = {
        "call": {one.call_id for one in together.calls},
        "tool": {one.tool_call_id for one in together.tools},
        "process": {one.process_key for one in together.processes},
        "file": {one.file_event_id for one in together.files}
        | {one.sighting_id for one in together.sightings},
        "connection": {one.network_event_id for one in together.connections},
        "privilege": {one.privilege_change_id for one in together.privileges},
        "session": {part.session.session_id for part in family.sessions},
    }
    for finding in found.findings:
        assert finding.count >= 1
        for each in finding.evidence:
            assert each.id in ids.get(each.kind, {each.id}), (finding.kind, each)


def _values(data: bytes) -> list[Any]:
    try:
        loaded = orjson.loads(data)
    except orjson.JSONDecodeError:
        return [data.decode("utf-8", "replace")]
    return (loaded if isinstance(loaded, list) else [loaded])[:_MOST_MESSAGES]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _family(source: Input) -> Family:
    values = _values(source.data)
    texts = [text for value in values for text in _texts(value)][:_MOST_TEXTS]
    nodes, parent = {}, None
    calls: list[CallStep] = []
    tools: list[ToolStep] = []
    at = MS
    for number, value in enumerate(values):
        choice = source.choice(number)
        at += choice * choice * 100_000
        body = orjson.dumps(value).decode()
        role = value.get("role") if isinstance(value, dict) else None
        role = role if isinstance(role, str) else _ROLES[choice % len(_ROLES)]
        if choice & 0x40:
            parent = None  # the list begins anew: compacted, or another conversation
        node = f"n{number}"
        kind = "system" if role == "system" else "message"
        kept = None if choice == 0xFF else body
        nodes[node] = ContextNode(node, parent, number, kind, role, len(body), f"h{body}", kept)
        parent = node
        session_id = "s" if choice < 0xC0 else "sub"
        calls.append(_call(number, session_id, at, choice, node, texts))
        tools.append(_tool(number, session_id, at, choice, values))
    return Family(
        root_id="s",
        sessions=_sessions(calls, tools, nodes, texts),
        nodes=nodes,
        schemas={"t": 100},
        gaps={"c0": (1, 2, 5 * MS), "c2": (3 * MS,)},
        build_ids=dict.fromkeys(texts[:2], "ab"),
    )


def _call(
    number: int, session_id: str, at: int, choice: int, node: str, texts: list[str]
) -> CallStep:
    text = texts[number % len(texts)] if texts else ""
    return CallStep(
        f"c{number}", session_id, text or None, at, choice, choice // 2 if choice & 1 else None,
        provider=text, status=_STATUSES[choice % 7 % len(_STATUSES)],
        first_byte_ns=at + choice * 1000, first_token_ns=at + choice * 2000 if choice & 2 else None,
        ended_ns=at + choice * MS if choice & 4 else None,
        http_status=(200, 429, 500, None)[choice % 4], error_type=text, error_message=text,
        finish_reason=text, cost_usd=choice / 7 if choice & 8 else None, tool_call_count=1,
        request_bytes=choice, retry_of=f"c{number - 1}" if choice % 5 == 4 else None, agent=text,
        pid=AGENT, input_node=node, output_node=f"n{number + 1}", tool_set="t",
        request_model=text,
    )  # fmt: skip


def _tool(number: int, session_id: str, at: int, choice: int, values: list[Any]) -> ToolStep:
    value = values[number]
    name = value.get("name") if isinstance(value, dict) else None
    result = orjson.dumps(values[-1 - number]).decode() if choice & 8 else None
    return tool_step(
        f"t{number}",
        name if isinstance(name, str) else "Bash",
        value if isinstance(value, str) else orjson.dumps(value).decode(),
        result,
        session_id=session_id,
        call_id=f"c{number}",
        is_error=(None, True, False)[choice % 3],
        requested_ns=at + choice * 1000,
        result_ns=None if result is None else at + choice * MS,
        result_call_id=f"c{number + 1}",
    )


def _sessions(
    calls: list[CallStep],
    tools: list[ToolStep],
    nodes: dict[str, ContextNode],
    texts: list[str],
) -> tuple[SessionSteps, ...]:
    links = [
        MessageLink(
            one.node, one.parent_node, one.position, one.body if one.role == "user" else None
        )
        for one in nodes.values()
    ]
    turns = user_turns([(call, call.input_node) for call in calls], links)
    agent = texts[0] if texts else None
    about = (
        SessionStep("s", "read", agent, agent, None, AGENT, 0),
        SessionStep("sub", "inferred", agent, None, "s", None, MS),
    )
    return tuple(
        SessionSteps(
            session=session,
            calls=tuple(one for one in calls if one.session_id == session.session_id),
            tools=tuple(one for one in tools if one.session_id == session.session_id),
            turns=tuple(one for one in turns if one.session_id == session.session_id),
            processes=tuple(_processes(texts)),
            files=tuple(_files(texts)),
            connections=tuple(_connections(texts)),
            privileges=tuple(_privileges(texts)),
            sightings=tuple(_sightings(texts)),
        )
        for session in about
    )


def _processes(texts: list[str]) -> Iterator[ProcessStep]:
    yield ProcessStep(f"boot:{AGENT}:7", AGENT, 1, ("agent",), None, 1000, 0, "s", cwd="/w")
    for n, text in enumerate(texts):
        argv = (*text.split()[:4], "-c", text) if n % 2 else (text,)
        pid = AGENT + 1 + n
        yield ProcessStep(
            f"boot:{pid}:7", pid, pid - 1 if n % 3 else AGENT, argv, text if n % 4 else None,
            n % 2 * 1000, n * 3 * MS, "s", n * 4 * MS if n % 3 else None, text, n % 3, None, text,
        )  # fmt: skip


def _files(texts: list[str]) -> Iterator[FileStep]:
    for n, text in enumerate(texts):
        operation = _OPERATIONS[n % 17 % len(_OPERATIONS)]
        yield FileStep(
            f"f{n}", f"boot:{AGENT + n}:7", AGENT + n, "s", n * 3 * MS, (n * 3 + n % 2) * MS,
            1 + n % 2, operation, ("read", "write", "read_write")[n % 3], text,
            texts[n - 1] if operation in ("rename", "link") else None,
            (None, None, "EEXIST", text)[n % 4], n % 2 > 0, n % 5 == 0, n % 3 == 1, False,
            None, "ssh_key" if n % 6 == 0 else None, 5, n % 7,
        )  # fmt: skip


def _connections(texts: list[str]) -> Iterator[ConnectionStep]:
    for n, text in enumerate(texts):
        yield ConnectionStep(
            f"x{n}", f"boot:{AGENT + n}:7", AGENT + n, "s", n * 3 * MS, n * 3 * MS, 1,
            ("tcp", "udp", "unix")[n % 3], text, None if n % 3 == 2 else n,
            text if n % 2 else None, "dns" if n % 2 else None, text if n % 5 == 4 else None,
        )  # fmt: skip


def _privileges(texts: list[str]) -> Iterator[PrivilegeStep]:
    for n, text in enumerate(texts):
        yield PrivilegeStep(
            f"p{n}", f"boot:{AGENT + n}:7", AGENT + n, "s", n * 3 * MS, _CHANGES[n % 6],
            text if n % 4 == 3 else None, 1000, n % 2 * 1000, (text,) if n % 3 else ("all",),
            text, AGENT + n // 2,
        )  # fmt: skip


def _sightings(texts: list[str]) -> Iterator[SightingStep]:
    for n, text in enumerate(texts[:8]):
        yield SightingStep(
            f"g{n}", text, "ssh_key", f"boot:{AGENT + n}:7", n * MS, f"boot:{AGENT}:7", AGENT, "s",
            n * 2 * MS, f"c{n}" if n % 2 else None, text, text, "plain", n % 3, n,
        )  # fmt: skip
