"""Who made a call: the agent, its version, and the session ids it puts on the wire.

In: request headers and the parsed request. Out: an `Identity` for `collector.calls`. What each
client sends is data, in `agents.toml`. An id that the wire does not carry is None; grouping
such calls is the lineage's work, not a guess here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import orjson

from collector.http.events import Headers, header
from collector.llm.model import Json, JsonObject, LlmRequest

_FORMAT = 1
_ID_CHARS = 256
_PRODUCT = re.compile(r"([^\s/()<>@,;:\\\"\[\]?={}]{1,64})(?:/([^\s;,()]{1,64}))?")


@dataclass(frozen=True, slots=True)
class Identity:
    """What the wire says about the caller.

    `agent` is a name of `agents.toml`, else the product of the user agent. `session_id` and
    `parent_session_id` are comparable within an agent; sub-agents that share their parent's id on
    the wire have `ID:AGENT_ID` here. `agent_id` names a sub-agent inside the session,
    `parent_agent_id` the sub-agent that started it; None is the main agent.
    """

    agent: str | None = None
    agent_version: str | None = None
    session_id: str | None = None
    parent_session_id: str | None = None
    agent_id: str | None = None
    parent_agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """Where an id is found, and which part of the text found there is the id."""

    header: str | None = None
    param: str | None = None
    json: str | None = None
    pattern: re.Pattern[str] | None = None

    def read(self, headers: Headers, params: JsonObject) -> str | None:
        found = header(headers, self.header) if self.header else _field(params, self.param or "")
        if not isinstance(found, str):
            return None
        if self.json is not None:
            try:
                found = _field(orjson.loads(found), self.json)
            except orjson.JSONDecodeError:
                return None
        elif self.pattern is not None:
            match = self.pattern.search(found)
            found = match[1] if match else None
        return found[:_ID_CHARS] if isinstance(found, str) and found else None


@dataclass(frozen=True, slots=True)
class _Client:
    """One entry of `agents.toml`."""

    name: str
    user_agent: re.Pattern[str]
    marks: tuple[tuple[str, re.Pattern[str]], ...]
    sources: Mapping[str, tuple[_Source, ...]]  # by field of Identity

    def matches(self, user_agent: str, headers: Headers) -> bool:
        if self.user_agent.search(user_agent):
            return True
        return any(pattern.search(header(headers, name) or "") for name, pattern in self.marks)


def identify(headers: Headers, body_params: JsonObject, request: LlmRequest) -> Identity:
    """The caller's identity.

    `body_params` are the body's fields outside the conversation (`request.params`, or what
    wraps them when a gateway does); both are searched, `body_params` first.
    """
    user_agent = header(headers, "user-agent") or ""
    client = next((one for one in _clients() if one.matches(user_agent, headers)), None)
    if client is None:
        product = _PRODUCT.match(user_agent)
        return Identity(product[1], product[2]) if product else Identity()
    version = client.user_agent.search(user_agent)
    in_session = "parent_agent_id" in client.sources  # sub-agents share their parent's session id
    ids: dict[str, str] = {}
    for field, sources in client.sources.items():
        for source in sources:
            value = source.read(headers, body_params) or source.read((), request.params)
            if value is not None:
                ids[field] = value
                break
    if in_session and "agent_id" in ids and "session_id" in ids:
        shared, parent = ids["session_id"], ids.get("parent_agent_id")
        ids["session_id"] = f"{shared}:{ids['agent_id']}"
        ids["parent_session_id"] = f"{shared}:{parent}" if parent else shared
    return Identity(client.name, version["version"] if version else None, **ids)


def _field(value: Json, dotted: str) -> Json:
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


@cache
def _clients() -> tuple[_Client, ...]:
    data = tomllib.loads(files("collector").joinpath("agents.toml").read_text("utf-8"))
    if data["format"] != _FORMAT:
        raise ValueError(f"agents.toml has format {data['format']}, expected {_FORMAT}")
    return tuple(
        _Client(
            name=entry["name"],
            user_agent=re.compile(entry["user_agent"]),
            marks=tuple(
                (name, re.compile(pattern)) for name, pattern in entry.get("marks", {}).items()
            ),
            sources={
                field: tuple(
                    _Source(
                        source.get("header"),
                        source.get("param"),
                        source.get("json"),
                        re.compile(source["pattern"]) if "pattern" in source else None,
                    )
                    for source in entry[field]
                )
                for field in ("session_id", "parent_session_id", "agent_id", "parent_agent_id")
                if field in entry
            },
        )
        for entry in data["agent"]
    )
