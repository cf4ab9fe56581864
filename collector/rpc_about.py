"""What a JSON-RPC message says about its call, its protocol and the two that speak.

In: the parsed message. Out: `About`, part of `collector.rpc_messages.Fields`. Known are MCP
(specification 2024-11-05 to 2026-07-28: "Lifecycle", "Streamable HTTP", `_meta` keys of
`io.modelcontextprotocol/`), A2A (0.3 and 1.0, `collector.a2a`), and LSP as far as to tell it from
MCP. Nothing here raises, whatever the message is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from collector import a2a
from collector.rpc_pairs import SENT_BY_CLIENTS, SENT_BY_SERVERS

MCP = "mcp"
A2A = "a2a"
LSP = "lsp"

MAX_TEXT_CHARACTERS = 1024  # of a name, version or id; what is longer is none
_MAX_ERROR_CHARACTERS = 4000
_INT64 = range(-(2**63), 2**63)
_META = "io.modelcontextprotocol/"

# Of MCP, of all versions; LSP, too, begins with `initialize`.
_MCP_METHODS = (SENT_BY_CLIENTS | SENT_BY_SERVERS) - {"initialize", "initialized"}
_MCP_BEGINS = "notifications/"
_LSP_BEGINS = ("textDocument/", "workspace/", "window/", "$/", "client/")
_LSP_INITIALIZE = ("processId", "rootUri", "rootPath", "workspaceFolders")


class About(NamedTuple):
    """What one message says besides what JSON-RPC itself names. None: it does not say.

    `settled`: the version is what the server answered, not what a client offers. `cancels`: the
    id, as JSON text, of the request that is given up.
    """

    protocol: str | None = None
    protocol_version: str | None = None
    settled: bool = False
    server_name: str | None = None
    server_version: str | None = None
    server_skills: int | None = None
    client_name: str | None = None
    client_version: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    task_id: str | None = None
    task_state: str | None = None
    context_id: str | None = None
    result_type: str | None = None
    cancels: Any = None

    def of_channel(self) -> About:
        """The part that `tells_who`."""
        return About(*self[:8])

    @property
    def tells_who(self) -> bool:
        """Whether it says anything of the channel rather than of the call."""
        return any(self[:8])


NOTHING = About()


def about_request(method: str, params: Any) -> About:
    """Of a request or notification."""
    if not isinstance(params, dict):
        return _of_method(method)
    meta = params.get("_meta")
    version = text(meta.get(_META + "protocolVersion")) if isinstance(meta, dict) else None
    if version is not None and isinstance(meta, dict):
        name, number = _named(meta.get(_META + "clientInfo"))
        said = About(MCP, version, client_name=name, client_version=number)
    elif method == "initialize":
        said = _initialize(params)
    else:
        said = _of_method(method)
    if method == "notifications/cancelled":
        return said._replace(cancels=params.get("requestId"))
    if method == "$/cancelRequest":
        return said._replace(cancels=params.get("id"))
    if a2a.is_method(method, params):
        task = a2a.task_of_request(params)
        return said._replace(protocol=A2A, task_id=task.task_id, context_id=task.context_id)
    if method.startswith("tasks/") and (task_id := text(params.get("taskId"))) is not None:
        return said._replace(protocol=said.protocol or MCP, task_id=task_id)
    return said


def about_result(result: Any) -> About:
    """Of a response that has a result."""
    if not isinstance(result, dict):
        return NOTHING
    meta = result.get("_meta")
    server = meta.get(_META + "serverInfo") if isinstance(meta, dict) else None
    result_type = text(result.get("resultType"))
    if server is not None:
        name, number = _named(server)
        said = About(MCP, server_name=name, server_version=number, result_type=result_type)
    elif "serverInfo" in result and "capabilities" in result:
        name, number = _named(result["serverInfo"])
        version = text(result.get("protocolVersion"))
        protocol = MCP if version else LSP
        said = About(protocol, version, version is not None, name, number)
    elif (card := a2a.card_of(result)) is not None:
        return about_card(card)
    else:
        said = About(result_type=result_type)
    task = a2a.task_of_result(result)
    if task is not None:
        return said._replace(
            task_id=task.task_id, task_state=task.state, context_id=task.context_id
        )
    # MCP 2025-11-25, "Tasks": the result of what made one, or of tasks/get.
    inner = result.get("task", result)
    if isinstance(inner, dict) and (task_id := text(inner.get("taskId"))) is not None:
        return said._replace(task_id=task_id, task_state=text(inner.get("status")))
    return said


def about_error(error: dict[str, Any]) -> About:
    """Of a response that has an error; also of A2A's error over HTTP."""
    code, message = error.get("code"), error.get("message")
    known = type(code) is int and code in _INT64
    return About(
        error_code=code if known else None,
        error_message=message[:_MAX_ERROR_CHARACTERS] if isinstance(message, str) else None,
    )


def about_card(card: a2a.Card) -> About:
    """Of an agent that described itself."""
    return About(
        A2A,
        card.protocol_version,
        card.protocol_version is not None,
        card.name,
        card.version,
        card.skills,
    )


def text(value: Any) -> str | None:
    """A short text, or None."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARACTERS else None


def _initialize(params: dict[str, Any]) -> About:
    version = text(params.get("protocolVersion"))
    name, number = _named(params.get("clientInfo"))
    if version is not None:
        return About(MCP, version, client_name=name, client_version=number)
    protocol = LSP if any(key in params for key in _LSP_INITIALIZE) else None
    return About(protocol, client_name=name, client_version=number)


def _of_method(method: str) -> About:
    if method in _MCP_METHODS or method.startswith(_MCP_BEGINS):
        return _MCP_ONLY
    return _LSP_ONLY if method.startswith(_LSP_BEGINS) else NOTHING


def _named(info: Any) -> tuple[str | None, str | None]:
    if not isinstance(info, dict):
        return None, None
    return text(info.get("name")), text(info.get("version"))


_MCP_ONLY = About(MCP)
_LSP_ONLY = About(LSP)
