"""A call for use elsewhere: as one JSON object, and as a `curl` command.

In: a `CallDetail`, and the `RawExchange` where raw data was kept. Out: what `show --json` prints,
and a shell command. With raw data the command is what was sent; without, it is rebuilt from the
store and says so. Credentials are `$VARIABLES` in both. Pure.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from analysis.cells import json_text
from analysis.reading import CallDetail, Message
from analysis.rebuilt_request import (
    key_variable,
    origin,
    rebuilt_request,
    variable,
    without_signs,
)
from collector.secret_shapes import is_credential_header

if TYPE_CHECKING:
    from collector.raw_exchange import RawExchange

_MASK = re.compile(r"\*{4,}|\[redacted:[0-9a-f]{8}\]\**")
# What curl writes itself, or what does not fit the body as it is shown.
_LEFT_OUT = frozenset(
    {
        *("host", "content-length", "connection", "transfer-encoding", "accept-encoding"),
        *("content-encoding", "expect", "te", "keep-alive", "proxy-connection", "upgrade"),
    }
)


def call_record(detail: CallDetail) -> dict[str, Any]:
    """The call with everything that the store has of it, as `show --json` prints it."""
    record: dict[str, Any] = {
        **detail.call,
        "messages": [_message(message) for message in detail.messages],
        "tool_calls": detail.tool_calls.records(),
        "tools_offered": list(detail.tool_schemas),
        "chunk_ms": list(detail.chunk_ms),
    }
    if detail.running is not None:
        record["running"] = {
            "messages": list(detail.running.messages),
            "output_tokens": detail.running.output_tokens,
            "updated_at": detail.running.updated_at,
        }
    return record


def call_json(detail: CallDetail) -> str:
    """The same as text."""
    return json_text(call_record(detail), indented=True)


def _message(message: Message) -> dict[str, Any]:
    return {
        "position": message.position,
        "side": message.side,
        "kind": message.kind,
        "role": message.role,
        "size_bytes": message.size_bytes,
        "body": message.body,
    }


def curl_command(detail: CallDetail, raw: RawExchange | None = None) -> str:
    """A shell command that sends the request again; its first lines, comments, say how true it is.

    `raw`: what was sent, where it is known.
    """
    exact = None if raw is None else _exact(detail, raw)
    return exact or _rebuilt(detail)


def _exact(detail: CallDetail, raw: RawExchange) -> str | None:
    request = raw.request
    if not request.complete or request.coding_failed or len(request.body) < request.body_bytes:
        return None
    try:
        body = request.body.decode()
    except UnicodeDecodeError:
        return None
    if "\0" in body:
        return None
    fields = dict(request.headers)
    method, path = _target(request.start_line, fields)
    notes = [f"call {detail.call['call_id']}, as it was sent"]
    if raw.protocol == "websocket":
        notes.append("it was a message on a WebSocket: curl sends it over HTTP")
        path, method = path.partition("?")[0] or "/v1/responses", "POST"
    if request.coding:
        notes.append(f"it was sent with content coding {request.coding}")
    if _MASK.search(body):
        notes.append("secrets in the body are masked")
    url = f"{origin(detail.call)}{without_signs(path)}"
    headers = [
        (name, _without_secret(name, without_signs(value), str(detail.call["provider"] or "")))
        for name, value in request.headers
        if not name.startswith(":") and name not in _LEFT_OUT
    ]
    if not headers:
        headers = [("content-type", "application/json")]
    return _command(notes, method, url, headers, body)


def _target(start_line: str, fields: dict[str, str]) -> tuple[str, str]:
    """Method and path of a request."""
    if not start_line:
        return fields.get(":method", "POST"), fields.get(":path", "/")
    method, _, rest = start_line.partition(" ")
    return method, rest.rpartition(" ")[0] or "/"


def _without_secret(name: str, value: str, provider: str) -> str:
    """The value with masks of credentials as a variable, which the shell fills in."""
    if not is_credential_header(name.encode("latin-1", "replace")) and not _MASK.search(value):
        return value
    if name == "cookie":
        return variable("COOKIE")
    masked = _MASK.sub(key_variable(provider), value)
    if masked != value:
        return masked
    return key_variable(provider) if name.endswith(("key", "token")) else value


def _rebuilt(detail: CallDetail) -> str:
    request = rebuilt_request(detail)
    notes = [
        f"call {detail.call['call_id']}, rebuilt from the store: not exactly what was sent",
        *request.notes,
    ]
    body = None if request.body is None else json_text(request.body)
    return _command(notes, "POST", request.url, list(request.headers), body)


def _command(
    notes: list[str], method: str, url: str, headers: list[tuple[str, str]], body: str | None
) -> str:
    lines = [f"# {_one_line(note)}" for note in notes]
    if body is None:
        return "\n".join(lines) + "\n"
    parts = [f"curl -sS -N -X {shlex.quote(method)} {_quoted(url)}"]
    parts += [f"-H {_quoted(f'{name}: {value}')}" for name, value in headers]
    parts.append(f"--data-binary {shlex.quote(body)}")
    return "\n".join(lines) + "\n" + " \\\n  ".join(parts) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    """Quoted for the shell, which fills in the variables of `rebuilt_request.variable` alone."""
    parts = text.split("\0")
    return "".join(
        f'"${part}"' if number % 2 else shlex.quote(part) if part else ""
        for number, part in enumerate(parts)
    )
