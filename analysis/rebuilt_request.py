"""A request put together again from what the store has of it.

In: a `CallDetail`. Out: a `RebuiltRequest`, in the call's wire format, with notes on what cannot be
known: the store splits requests into messages, tools and parameters, and keeps no headers. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analysis.reading import CallDetail

JsonObject = dict[str, Any]
Headers = tuple[tuple[str, str], ...]

_JSON = ("content-type", "application/json")
_COUNTED = {
    "cache_control_count": "cache_control markers",
    "cache_point_count": "cachePoint blocks",
}
_SERVER_SIDE = ("previous_response_id", "conversation")


@dataclass(frozen=True, slots=True)
class RebuiltRequest:
    """`url` and header values name credentials by `variable`. `body` is None when it cannot be
    rebuilt; `notes` say why, and what differs from what was sent."""

    url: str
    headers: Headers
    body: JsonObject | None
    notes: tuple[str, ...]


def rebuilt_request(detail: CallDetail) -> RebuiltRequest:
    """The request as far as it is known."""
    call = detail.call
    api = str(call["api"])
    form = _FORMS.get(api)
    notes = []
    body: JsonObject | None = None
    path = ""
    if form is None:
        notes.append(f"requests of {api} cannot be rebuilt from the store")
    elif any(m.body is None for m in detail.messages) or not isinstance(call.get("params"), dict):
        notes.append("the content was not stored")
    else:
        sent = _Sent(detail)
        path, body = form(sent)
        notes += sent.notes
        if detail.call["protocol"] == "websocket":
            notes.append("it was sent over a WebSocket, and is shown as an HTTP request")
    headers = (_JSON, *_credentials(api, str(call["provider"] or "")))
    if api.startswith("bedrock"):
        notes.append("AWS asks for a signature: add --aws-sigv4 and the keys")
    return RebuiltRequest(f"{origin(call)}{without_signs(path)}", headers, body, tuple(notes))


def origin(call: Any) -> str:
    """Scheme and host of the call's URL."""
    scheme = "http" if call["tls_stack"] == "none" else "https"
    host = call["host"]
    return f"{scheme}://{variable('HOST') if host is None else without_signs(host)}"


def without_signs(text: str) -> str:
    """Captured text that names no variable."""
    return text.replace("\0", "")


def variable(name: str) -> str:
    """A shell variable, between signs that no captured text has here."""
    return f"\0{name}\0"


class _Sent:
    """The parts of a request."""

    def __init__(self, detail: CallDetail) -> None:
        sent = [message for message in detail.messages if message.side == "input"]
        self.system = [message.body for message in sent if message.kind == "system"]
        self.messages = [message.body for message in sent if message.kind != "system"]
        self.tools = list(detail.tool_schemas)
        self.model = str(detail.call["request_model"] or detail.call["model"] or "")
        self.stream = bool(detail.call["stream"])
        self.notes = ["the order of fields may differ from what was sent"]
        self.params: JsonObject = {}
        for name, value in detail.call["params"].items():
            if name in _COUNTED:
                if value:
                    self.notes.append(f"{value} {_COUNTED[name]} are left out")
            elif name in _SERVER_SIDE:
                self.notes.append(f"{name} is left out: what it stands for is among the messages")
            else:
                self.params[name] = value

    def filled(self, **fields: Any) -> JsonObject:
        """The fields that hold something, before the parameters."""
        return {name: value for name, value in fields.items() if value} | self.params


def _anthropic(sent: _Sent) -> tuple[str, JsonObject]:
    return "/v1/messages", sent.filled(
        model=sent.model,
        system=sent.system,
        messages=sent.messages,
        tools=sent.tools,
        stream=sent.stream,
    )


def _chat(path: str) -> Callable[[_Sent], tuple[str, JsonObject]]:
    def build(sent: _Sent) -> tuple[str, JsonObject]:
        return path, sent.filled(
            model=sent.model,
            messages=[*sent.system, *sent.messages],
            tools=sent.tools,
            stream=sent.stream,
        )

    return build


def _ollama(sent: _Sent) -> tuple[str, JsonObject]:
    _, body = _chat("")(sent)
    return "/api/chat", body | {"stream": sent.stream}  # it streams unless told not to


def _responses(sent: _Sent) -> tuple[str, JsonObject]:
    instructions = sent.system[0] if sent.system else None
    return "/v1/responses", sent.filled(
        model=sent.model,
        instructions=instructions,
        input=sent.messages,
        tools=sent.tools,
        stream=sent.stream,
    )


def _gemini(sent: _Sent) -> tuple[str, JsonObject]:
    declared = [tool for tool in sent.tools if isinstance(tool, dict) and "name" in tool]
    tools = [tool for tool in sent.tools if tool not in declared]
    if declared:
        tools = [{"functionDeclarations": declared}, *tools]
    method = "streamGenerateContent?alt=sse" if sent.stream else "generateContent"
    return f"/v1beta/models/{sent.model}:{method}", sent.filled(
        contents=sent.messages,
        systemInstruction=sent.system[0] if sent.system else None,
        tools=tools,
    )


def _converse(sent: _Sent) -> tuple[str, JsonObject]:
    settings = sent.params.pop("toolConfig", None)
    config = (settings if isinstance(settings, dict) else {}) | (
        {"tools": sent.tools} if sent.tools else {}
    )
    method = "converse-stream" if sent.stream else "converse"
    return f"/model/{sent.model}/{method}", sent.filled(
        system=sent.system, messages=sent.messages, toolConfig=config
    )


_FORMS: dict[str, Callable[[_Sent], tuple[str, JsonObject]]] = {
    "anthropic.messages": _anthropic,
    "openai.chat": _chat("/v1/chat/completions"),
    "cohere.chat": _chat("/v2/chat"),
    "ollama.chat": _ollama,
    "openai.responses": _responses,
    "gemini": _gemini,
    "bedrock.converse": _converse,
}


def _credentials(api: str, provider: str) -> Headers:
    """The headers that carry a key, as the provider's documentation has them."""
    if api == "anthropic.messages":
        return (("x-api-key", variable("ANTHROPIC_API_KEY")), ("anthropic-version", "2023-06-01"))
    if api == "gemini":
        return (("x-goog-api-key", variable("GEMINI_API_KEY")),)
    if api.startswith(("bedrock", "ollama")):
        return ()
    if provider.startswith("azure"):
        return (("api-key", variable("AZURE_OPENAI_API_KEY")),)
    return (("authorization", f"Bearer {key_variable(provider)}"),)


def key_variable(provider: str) -> str:
    """The environment variable that mostly holds a provider's key."""
    word = "".join(c if c.isalnum() and c.isascii() else "_" for c in provider.upper())
    return variable(f"{word or 'PROVIDER'}_API_KEY")
