"""A2A, the Agent2Agent protocol 0.3 and 1.0: its methods, tasks, agent cards and HTTP paths.

In: parsed bodies and request heads. Out: plain facts, to `collector.rpc_about` and
`collector.rpc_http`. Names as in the specification: sections "Agent Discovery", "JSON-RPC
Protocol Binding", "HTTP+JSON/REST Protocol Binding"; 0.3 sends protobuf's JSON over the latter.
Nothing here raises, whatever the bodies are.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from collector.http.events import RequestHead, header
from collector.llm.endpoint import path_of

CARD_METHOD = "GetAgentCard"
MEDIA_TYPE = "application/a2a+json"
_MAX_TEXT = 1024
_MAX_INTERFACES = 32

# method of 1.0 -> of 0.3
_METHODS = {
    "SendMessage": "message/send",
    "SendStreamingMessage": "message/stream",
    "GetTask": "tasks/get",
    "ListTasks": "tasks/list",
    "CancelTask": "tasks/cancel",
    "SubscribeToTask": "tasks/resubscribe",
    "CreateTaskPushNotificationConfig": "tasks/pushNotificationConfig/set",
    "GetTaskPushNotificationConfig": "tasks/pushNotificationConfig/get",
    "ListTaskPushNotificationConfigs": "tasks/pushNotificationConfig/list",
    "DeleteTaskPushNotificationConfig": "tasks/pushNotificationConfig/delete",
    "GetExtendedAgentCard": "agent/getAuthenticatedExtendedCard",
}
_OF_MCP_TOO = frozenset({"tasks/get", "tasks/list", "tasks/cancel"})  # which say `taskId`
_OWN = (frozenset(_METHODS) | frozenset(_METHODS.values())) - _OF_MCP_TOO
_PATH = re.compile(
    r"(?P<base>.*?)(?P<v1>/v1)?"
    r"/(?:message:(?P<message>send|stream)"
    r"|tasks(?:/(?P<task>[^/:]+)(?::(?P<verb>cancel|subscribe)"
    r"|/pushNotificationConfigs(?P<config>/[^/]+)?)?)?"
    r"|(?P<card>extendedAgentCard|card))"
)
_CARD_PATH = re.compile(r"(?P<base>.*)/\.well-known/agent(?:-card)?\.json")
_PUSH = {
    ("POST", False): "CreateTaskPushNotificationConfig",
    ("GET", False): "ListTaskPushNotificationConfigs",
    ("GET", True): "GetTaskPushNotificationConfig",
    ("DELETE", True): "DeleteTaskPushNotificationConfig",
}


class Task(NamedTuple):
    """A task as a message names it."""

    task_id: str | None
    context_id: str | None
    state: str | None


class Card(NamedTuple):
    """What an agent says of itself. `interfaces`: URL -> version of the protocol spoken there."""

    name: str
    version: str | None
    protocol_version: str | None
    skills: int | None
    interfaces: dict[str, str | None]


class Operation(NamedTuple):
    """An operation that is told by HTTP method and path. `base` is the path before it; `sure`:
    nothing but A2A sends such a head."""

    method: str
    base: str
    task_id: str | None
    sure: bool


def is_method(method: str, params: dict[str, Any]) -> bool:
    """Is this a method of A2A?"""
    return method in _OWN or (method in _OF_MCP_TOO and "taskId" not in params and "id" in params)


def says_a2a(head: RequestHead) -> bool:
    """Do the headers name A2A?"""
    return any(name.startswith("a2a-") for name, _ in head.headers) or any(
        MEDIA_TYPE in (header(head.headers, name) or "") for name in ("content-type", "accept")
    )


def card_base(head: RequestHead) -> str | None:
    """The path before a request for the public agent card, which may be empty."""
    if head.method != "GET":
        return None
    found = _CARD_PATH.fullmatch(path_of(head))
    return found["base"] if found else None


def operation(head: RequestHead) -> Operation | None:
    """The operation of the HTTP+JSON binding that a request may be."""
    found = _PATH.fullmatch(path_of(head))
    if found is None:
        return None
    post = head.method == "POST"
    method: str | None = None
    if found["message"]:
        streaming = found["message"] == "stream"
        method = ("SendStreamingMessage" if streaming else "SendMessage") if post else None
    elif found["card"]:
        method = "GetExtendedAgentCard" if head.method == "GET" else None
    elif found["verb"] == "cancel":
        method = "CancelTask" if post else None
    elif found["verb"]:
        method = "SubscribeToTask" if head.method in ("POST", "GET") else None
    elif "/pushNotificationConfigs" in found[0]:
        method = _PUSH.get((head.method, found["config"] is not None))
    elif head.method == "GET":
        method = "GetTask" if found["task"] else "ListTasks"
    if method is None:
        return None
    version = header(head.headers, "a2a-version")
    old = version.startswith("0.") if version else found["v1"] is not None
    return Operation(
        _METHODS[method] if old else method,
        found["base"] + ((found["v1"] or "") if not old else ""),
        found["task"],
        says_a2a(head),
    )


def task_of_request(params: dict[str, Any]) -> Task:
    """The task that a request is about, as far as it names one."""
    message = params.get("message", params.get("request"))
    if isinstance(message, dict):
        return Task(
            _any(message, "taskId", "task_id"), _any(message, "contextId", "context_id"), None
        )
    return Task(_any(params, "taskId", "id"), _any(params, "contextId"), None)


def asks_message(body: dict[str, Any]) -> bool:
    """Is this the body of sending a message?"""
    message = body.get("message", body.get("request"))
    return isinstance(message, dict) and any(
        key in message for key in ("messageId", "message_id", "parts", "content")
    )


def task_of_result(result: dict[str, Any]) -> Task | None:
    """The task that a result or a stream's event names; None where it has not that shape."""
    for key in ("task", "statusUpdate", "artifactUpdate", "message", "msg"):
        inner = result.get(key)
        if isinstance(inner, dict):
            return _task(inner, bare=key == "task")
    kind = result.get("kind")
    if kind in ("status-update", "artifact-update", "message"):
        return _task(result, bare=False)
    return _task(result, bare=True) if isinstance(result.get("status"), dict) else None


def card_of(body: Any) -> Card | None:
    """The agent card that a body is."""
    if not isinstance(body, dict) or not isinstance(body.get("capabilities"), dict):
        return None
    name, skills = _any(body, "name"), body.get("skills")
    listed = body.get("supportedInterfaces")
    if name is None or not (isinstance(skills, list) or isinstance(listed, list) or "url" in body):
        return None
    version = _any(body, "protocolVersion")
    interfaces: dict[str, str | None] = {}
    own = _any(body, "url")
    if own is not None:
        interfaces[own] = version
    more = body.get("additionalInterfaces")
    for found in (listed, more):
        for each in found[:_MAX_INTERFACES] if isinstance(found, list) else ():
            url = _any(each, "url") if isinstance(each, dict) else None
            if url is not None:
                interfaces.setdefault(url, _any(each, "protocolVersion") or version)
    if version is None:
        version = next((spoken for spoken in interfaces.values() if spoken), None)
    counted = len(skills) if isinstance(skills, list) else None
    return Card(name, _any(body, "version"), version, counted, interfaces)


def _task(inner: dict[str, Any], *, bare: bool) -> Task | None:
    status = inner.get("status")
    state = _any(status, "state") if isinstance(status, dict) else None
    task_id = _any(inner, "taskId", "task_id", *(("id",) if bare else ()))
    context_id = _any(inner, "contextId", "context_id")
    if state is None and context_id is None:
        return None
    return Task(task_id, context_id, state)


def _any(fields: dict[str, Any], *names: str) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and 0 < len(value) <= _MAX_TEXT:
            return value
    return None
