"""What one JSON-RPC 2.0 message says, as far as it is shown.

In: the JSON text of a message or of a batch (`collector.json_rpc` cuts it out of the bytes). Out:
`Fields`, of which `RpcMessage` is made. Nothing here raises, whatever the text is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from collector.rpc_about import NOTHING, About, about_error, about_request, about_result

MAX_BATCH_MEMBERS = 10_000

_MAX_NAME_CHARACTERS = 1024  # of a method or id; what is longer is neither
_BETWEEN = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class RpcMessage:
    """One message. `position`: of its first byte in the direction; a batch's members share it.

    `kind`: request, notification, response (a result), error, or unknown (truncated). `rpc_id` is
    JSON text, so that 1 and "1" differ; None where there is none. `tool` is what `tools/call`
    calls. `is_error`: of a response, whether it is an error or a tool's result that says
    `isError`. `about`: what else it says. `size_bytes`: on the wire, framing included; of a batch's
    member its own text. `text` is the JSON as it was sent, None when `truncated`.
    """

    position: int
    batch_index: int | None
    kind: str
    rpc_id: str | None
    method: str | None
    tool: str | None
    is_error: bool | None
    about: About
    size_bytes: int
    text: bytes | None
    first_ns: int
    last_ns: int

    @property
    def truncated(self) -> bool:
        """Whether it was too long to be kept."""
        return self.text is None


class Fields(NamedTuple):
    """The part of an `RpcMessage` that is in its JSON text."""

    kind: str
    rpc_id: str | None = None
    method: str | None = None
    tool: str | None = None
    is_error: bool | None = None
    about: About = NOTHING


UNKNOWN = Fields("unknown")


def batch_members(text: bytes) -> tuple[list[bytes], bool]:
    """The members of an array, each as it was sent, and whether that is all of it."""
    members: list[bytes] = []
    try:
        array = text.decode()
    except UnicodeDecodeError:
        return members, False
    scan = json.JSONDecoder().raw_decode
    at = 1
    while len(members) < MAX_BATCH_MEMBERS:
        at = _after_blanks(array, at)
        try:
            _, end = scan(array, at)
        except (ValueError, RecursionError):
            break
        members.append(array[at:end].encode())
        at = _after_blanks(array, end)
        if array[at : at + 1] != ",":
            return members, array[at:] == "]"
        at += 1
    return members, False


def _after_blanks(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def read_fields(text: bytes) -> Fields | None:
    """What a message says; None when this is no JSON-RPC message."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return None
    rpc_id, method = _id(message.get("id")), message.get("method")
    if isinstance(method, str):
        if len(method) > _MAX_NAME_CHARACTERS:
            return None
        kind = "request" if "id" in message else "notification"
        params = message.get("params")
        about = about_request(method, params)
        if about.cancels is not None:
            about = about._replace(cancels=_id(about.cancels))
        return Fields(kind, rpc_id, method, _tool(method, params), about=about)
    result, error = message.get("result"), message.get("error")
    if isinstance(error, dict):
        return Fields("error", rpc_id, is_error=True, about=about_error(error))
    if "result" in message:
        failed = isinstance(result, dict) and result.get("isError") is True
        return Fields("response", rpc_id, is_error=failed, about=about_result(result))
    return None


def _id(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = orjson.dumps(value).decode()
    return text if len(text) <= _MAX_NAME_CHARACTERS else None


def _tool(method: str, params: Any) -> str | None:
    if method != "tools/call" or not isinstance(params, dict):
        return None
    name = params.get("name")
    return name if isinstance(name, str) and len(name) <= _MAX_NAME_CHARACTERS else None
