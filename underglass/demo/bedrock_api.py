"""Amazon Bedrock's APIs, server side: Converse, and InvokeModel with Anthropic's bodies.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of the Amazon
Bedrock API reference. The model, and whether to stream, stand in the target. A stream's event is
its name, a line feed and its payload, until `bedrock_message` makes a message of it: ids are put
in before checksums are taken. On the wire `inputTokens` excludes what the cache read and wrote.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from urllib.parse import unquote

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.anthropic_api import AnthropicMessages
from underglass.demo.event_stream import event, exception
from underglass.demo.ledger import SentToolCall
from underglass.demo.reply import UNIQUE, ApiRequest, Event, Reply, argument_pieces, text_of
from underglass.demo.script import ErrorStep, RateLimits, TurnUsage

TARGET = re.compile(
    r"/model/(?P<model>.+)/(?:(?P<converse>converse(?P<converse_stream>-stream)?)"
    r"|invoke(?P<invoke_stream>-with-response-stream)?)"
)
_STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "refusal": "content_filtered",
}
_ERROR_TYPES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_SIGNATURE = "c2NyaXB0ZWQtcmVhc29uaW5nLXNpZ25hdHVyZQ=="
_EXCEPTION = b"exception:"
_ANTHROPIC = AnthropicMessages()


def bedrock_message(data: bytes) -> bytes:
    """An event of this module as a message of the stream; a chunk's payload goes in base64."""
    name, _, payload = data.partition(b"\n")
    if name.startswith(_EXCEPTION):
        return exception(name.removeprefix(_EXCEPTION).decode(), payload)
    if name == b"chunk":
        payload = orjson.dumps({"bytes": base64.b64encode(payload).decode(), "p": "abcd"})
    return event(name.decode(), payload)


class BedrockErrors:
    """What both APIs say when something fails: `x-amzn-errortype` names it."""

    request_id_header = "x-amzn-requestid"

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return orjson.dumps({"message": error.message})

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """The exception that breaks a stream off."""
        name = self.error_type(replace(error, after_events=0))
        return Event(_EXCEPTION + name.encode() + b"\n" + self.error_body(error))

    def error_type(self, error: ErrorStep) -> str:
        """The exception's name, which begins with a small letter inside a stream."""
        name = error.type or _ERROR_TYPES.get(error.status, "InternalServerException")
        return name if error.after_events is None else name[0].lower() + name[1:]

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """The provider sends none."""
        return []


class BedrockConverse(BedrockErrors):
    """POST /model/MODEL/converse and /converse-stream."""

    name = "bedrock.converse"
    response_id_prefix = None

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body and its target."""
        messages = body["messages"]
        contents = [message["content"] for message in messages if message["role"] == "user"]
        tools = (body.get("toolConfig") or {}).get("tools") or ()
        specs = [tool["toolSpec"] for tool in tools if "toolSpec" in tool]
        model, stream = _asked(target)
        return ApiRequest(
            model=model,
            stream=stream,
            turn_number=sum(message["role"] == "assistant" for message in messages),
            last_user_text=text_of(contents[-1]) if contents else "",
            tools=tuple((spec["name"], spec["inputSchema"].get("json", {})) for spec in specs),
            tool_result_ids=tuple(
                block["toolResult"]["toolUseId"]
                for content in contents
                for block in content
                if "toolResult" in block
            ),
            framing="eventstream",
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        turn = reply.turn
        calls = _calls(reply)
        content: list[JsonObject] = []
        if turn.thinking:
            thought = {"text": "".join(turn.thinking), "signature": _SIGNATURE}
            content.append({"reasoningContent": {"reasoningText": thought}})
        if turn.text:
            content.append({"text": "".join(turn.text)})
        content += [
            {"toolUse": {**_tool_use(call), "input": orjson.Fragment(call.arguments)}}
            for call in calls
        ]
        stop_reason = _STOP_REASONS[turn.finish]
        body = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stop_reason,
            **_metadata(turn.usage),
        }
        return Event(
            orjson.dumps(body),
            text="".join(turn.text),
            tool_calls=calls,
            usage=_usage(turn.usage),
            finish_reason=stop_reason,
        )

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as events; blocks of text have no start."""
        turn = reply.turn
        events = [_named("messageStart", {"role": "assistant"})]
        index = 0
        if turn.thinking:
            deltas: list[JsonObject] = [{"text": piece} for piece in turn.thinking]
            events += [_delta(index, {"reasoningContent": delta}) for delta in deltas]
            signed = _delta(index, {"reasoningContent": {"signature": _SIGNATURE}})
            events += [replace(signed, content=False), _stop(index)]
            index += 1
        if turn.text:
            events += [replace(_delta(index, {"text": piece}), text=piece) for piece in turn.text]
            events.append(_stop(index))
            index += 1
        for call in _calls(reply):
            start = {"contentBlockIndex": index, "start": {"toolUse": _tool_use(call)}}
            pieces = argument_pieces(call.arguments)
            events.append(_named("contentBlockStart", start))
            events += [_delta(index, {"toolUse": {"input": piece}}) for piece in pieces]
            events.append(replace(_stop(index), tool_calls=(call,)))
            index += 1
        stop_reason = _STOP_REASONS[turn.finish]
        closing = _named("messageStop", {"stopReason": stop_reason})
        events.append(replace(closing, finish_reason=stop_reason))
        metadata = _named("metadata", _metadata(turn.usage))
        return [*events, replace(metadata, usage=_usage(turn.usage))]


class BedrockInvoke(BedrockErrors):
    """POST /model/MODEL/invoke and /invoke-with-response-stream, for Anthropic's models."""

    name = "bedrock.invoke"
    response_id_prefix = _ANTHROPIC.response_id_prefix

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body and its target. Raises ValueError for other makers' bodies."""
        if "anthropic_version" not in body:
            raise ValueError("only Anthropic's bodies are known")
        model, stream = _asked(target)
        asked = _ANTHROPIC.read({**body, "model": model}, target)
        return replace(asked, stream=stream, framing="eventstream")

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        return _ANTHROPIC.body(reply)

    def stream(self, reply: Reply) -> list[Event]:
        """Anthropic's events as chunks; the last says what Bedrock measured."""
        inner = _ANTHROPIC.stream(reply)
        events = [replace(one, data=b"chunk\n" + _payload(one)) for one in inner]
        usage = reply.turn.usage
        measured = {
            "inputTokenCount": _uncached(usage),
            "outputTokenCount": usage.output_tokens,
            "cacheReadInputTokenCount": usage.cache_read_tokens,
            "cacheWriteInputTokenCount": usage.cache_write_tokens,
        }
        last = orjson.loads(_payload(inner[-1])) | {"amazon-bedrock-invocationMetrics": measured}
        events[-1] = replace(events[-1], data=b"chunk\n" + orjson.dumps(last))
        return events


def _asked(target: str) -> tuple[str, bool]:
    asked = TARGET.fullmatch(target.partition("?")[0])
    if asked is None:
        raise ValueError(f"no model in {target}")
    return unquote(asked["model"]), bool(asked["converse_stream"] or asked["invoke_stream"])


def _payload(event: Event) -> bytes:
    """What a server-sent event carries."""
    return event.data.partition(b"data: ")[2].rstrip(b"\n")


def _named(name: str, payload: JsonObject) -> Event:
    return Event(name.encode() + b"\n" + orjson.dumps(payload))


def _delta(index: int, delta: JsonObject) -> Event:
    named = _named("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
    return replace(named, content=True)


def _stop(index: int) -> Event:
    return _named("contentBlockStop", {"contentBlockIndex": index})


def _calls(reply: Reply) -> tuple[SentToolCall, ...]:
    return tuple(
        SentToolCall(f"tooluse_{UNIQUE}{index:02d}", name, arguments)
        for index, (name, arguments) in enumerate(reply.tools)
    )


def _tool_use(call: SentToolCall) -> JsonObject:
    return {"toolUseId": call.tool_call_id, "name": call.name}


def _uncached(usage: TurnUsage) -> int:
    return usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens


def _metadata(usage: TurnUsage) -> JsonObject:
    lasting = usage.cache_write_1h_tokens
    counts = {
        "inputTokens": _uncached(usage),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_tokens,
        "cacheDetails": [{"ttl": "1h", "inputTokens": lasting}] if lasting else [],
    }
    return {"usage": counts, "metrics": {"latencyMs": 100}}


def _usage(usage: TurnUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens or None,
    )
