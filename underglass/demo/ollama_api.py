"""Ollama's own API, server side: JSON bodies and streams of JSON lines.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of
https://docs.ollama.com/api: a stream unless the request says no, a line an event, the last one
with `done: true` and the counts. There are no response ids; durations are nanoseconds.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.ledger import SentToolCall
from underglass.demo.reply import CREATED_AT, UNIQUE, ApiRequest, Event, Reply, text_of
from underglass.demo.script import ErrorStep, RateLimits, TurnUsage

_DONE_REASONS = {"stop": "stop", "tool_calls": "stop", "length": "length", "refusal": "stop"}


class OllamaChat:
    """POST /api/chat."""

    name = "ollama.chat"
    response_id_prefix = None
    request_id_header = None

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        messages = body.get("messages") or []
        user = [message for message in messages if message["role"] == "user"]
        results = [message for message in messages if message["role"] == "tool"]
        return ApiRequest(
            model=body["model"],
            stream=body.get("stream") is not False,
            turn_number=sum(message["role"] == "assistant" for message in messages),
            last_user_text=text_of(user[-1]["content"]) if user else "",
            tools=tuple(
                (tool["function"]["name"], tool["function"].get("parameters") or {})
                for tool in body.get("tools") or ()
            ),
            tool_result_ids=tuple(
                result.get("tool_call_id") or result.get("tool_name") or "" for result in results
            ),
            framing="ndjson",
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        turn = reply.turn
        calls = _calls(reply)
        part = self._part("".join(turn.text), "".join(turn.thinking), calls)
        return replace(
            _closing(reply, part), text="".join(turn.text), tool_calls=calls, content=False
        )

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as JSON lines; every tool call comes whole."""
        turn = reply.turn
        events = [_line(reply, self._part("", piece, ())) for piece in turn.thinking]
        events += [
            replace(_line(reply, self._part(piece, "", ())), text=piece) for piece in turn.text
        ]
        events += [
            replace(_line(reply, self._part("", "", (call,))), tool_calls=(call,))
            for call in _calls(reply)
        ]
        closing = _closing(reply, self._part("", "", ()))
        return [*events, replace(closing, data=closing.data + b"\n")]

    def _part(self, text: str, thinking: str, calls: tuple[SentToolCall, ...]) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = [_call(call, index) for index, call in enumerate(calls)]
        return {"message": message}

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return orjson.dumps({"error": error.message})

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """The line that breaks a stream off."""
        return Event(self.error_body(error) + b"\n")

    def error_type(self, error: ErrorStep) -> str:
        """The provider has no words for errors: the script's HTTP status."""
        return str(error.status)

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """The provider sends none."""
        return []


class OllamaGenerate(OllamaChat):
    """POST /api/generate: a prompt instead of messages, and no tools."""

    name = "ollama.generate"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        return ApiRequest(
            model=body["model"],
            stream=body.get("stream") is not False,
            turn_number=0,
            last_user_text=body.get("prompt") or "",
            tools=(),
            tool_result_ids=(),
            framing="ndjson",
        )

    def _part(self, text: str, thinking: str, calls: tuple[SentToolCall, ...]) -> JsonObject:
        return {"response": text, **({"thinking": thinking} if thinking else {})}


def _calls(reply: Reply) -> tuple[SentToolCall, ...]:
    return tuple(
        SentToolCall(f"call_{UNIQUE}{index:02d}", name, arguments)
        for index, (name, arguments) in enumerate(reply.tools)
    )


def _call(call: SentToolCall, index: int) -> JsonObject:
    arguments = orjson.Fragment(call.arguments)
    function = {"index": index, "name": call.name, "arguments": arguments}
    return {"id": call.tool_call_id, "function": function}


def _envelope(reply: Reply, part: JsonObject, done: bool) -> JsonObject:
    return {"model": reply.model, "created_at": CREATED_AT, **part, "done": done}


def _line(reply: Reply, part: JsonObject) -> Event:
    return Event(orjson.dumps(_envelope(reply, part, False)) + b"\n", content=True)


def _closing(reply: Reply, part: JsonObject) -> Event:
    usage = reply.turn.usage
    reason = _DONE_REASONS[reply.turn.finish]
    payload = {
        **_envelope(reply, part, True),
        "done_reason": reason,
        "total_duration": 1_000_000 * (usage.input_tokens + usage.output_tokens),
        "load_duration": 1_000_000,
        "prompt_eval_count": usage.input_tokens,
        "prompt_eval_duration": 500_000 * usage.input_tokens,
        "eval_count": usage.output_tokens,
        "eval_duration": 500_000 * usage.output_tokens,
    }
    return Event(orjson.dumps(payload), usage=_usage(usage), finish_reason=reason)


def _usage(usage: TurnUsage) -> Usage:
    return Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
