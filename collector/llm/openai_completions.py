"""OpenAI's Completions API (legacy): `POST .../completions`, JSON or an event stream.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: OpenAI's API reference,
"Completions". Also spoken by vLLM, llama.cpp, DeepSeek's `/beta/completions`, Copilot's engines,
and Mistral's `/v1/fim/completions`, whose choices are those of a chat. llama.cpp's own
`/completion` answers with one text and no choices.
"""

from __future__ import annotations

import re

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder, joined
from collector.llm.endpoint import PostedTo, deployment_of
from collector.llm.fields import mapping, parse_object, text, word
from collector.llm.model import Json, JsonObject, LlmRequest, ToolCall, Usage
from collector.llm.openai_usage import usage_of, usage_of_timings
from collector.llm.prompts import prompt_messages

_PATH = re.compile(r"(?:^|(?<!/chat)/)completions?$")


class OpenAiCompletions(PostedTo):
    """The `Api` of the legacy completions."""

    name = "openai.completions"
    operation = "text_completion"
    path = _PATH
    native_provider = "openai"

    def has_shape(self, body: JsonObject) -> bool:
        """A prompt with parameters that Ollama and others name otherwise."""
        return "prompt" in body and word(body, "model") is not None and "max_tokens" in body

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape.

        Azure's path names a deployment.
        """
        request = parse_object(body)
        if request is None or "prompt" not in request:
            return None
        return LlmRequest(
            request_model=word(request, "model") or deployment_of(head),
            stream=request.get("stream") is True,
            messages=prompt_messages(request.pop("prompt")),
            params={key: value for key, value in request.items() if key not in ("model", "stream")},
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> CompletionsResponse:
        """A decoder for the response that begins with `head`."""
        return CompletionsResponse(head)


class CompletionsResponse(BodyDecoder):
    """Accumulates the texts of a completion. `output` holds one assistant message a choice."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._pieces: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._counts: Usage | None = None
        self._timed: Usage | None = None  # as llama.cpp counts, where nothing else does

    def _take_event(self, event: JsonObject) -> None:
        self._take(event)
        if self._pieces and self._pieces.keys() == self._reasons.keys():
            self._ended = True

    def _take_json(self, body: JsonObject) -> None:
        self._take(body)
        self._chunk_ns.clear()
        self._ended |= type(body.get("choices")) is list or body.get("stop") is True

    def _take(self, body: JsonObject) -> None:
        if body.get("error") or body.get("object") == "error":
            self._fail(body)
            return
        self._response_id = self._response_id or word(body, "id")
        self._model = self._model or word(body, "model")
        self._service_tier = word(body, "service_tier") or self._service_tier
        if body.get("usage") is not None:
            self._counts = usage_of(mapping(body, "usage")) or self._counts
        elif "timings" in body or "tokens_predicted" in body:
            self._timed = usage_of_timings(body) or self._timed
        choices = body.get("choices")
        if choices is None and type(body.get("content")) is str:
            reason = body.get("stop_type") if body.get("stop") is True else None
            choices = [{"text": body["content"], "finish_reason": reason}]
        for choice in choices if type(choices) is list else ():
            if type(choice) is dict:
                self._take_choice(choice)

    def _take_choice(self, choice: JsonObject) -> None:
        index = choice.get("index", 0)
        if type(index) is not int:
            return
        piece = text(choice, "text")
        if piece is None:
            said = mapping(choice, "delta") or mapping(choice, "message")
            piece = text(said, "content") or ""
        if not self._has_room(len(piece)):
            return
        self._pieces.setdefault(index, []).append(piece)
        if piece:
            self._chunk_ns.append(self._now_ns)
        reason = word(choice, "finish_reason")
        if reason is not None:
            self._reasons[index] = reason
            self._finish_reason = self._reasons[min(self._reasons)]

    def _usage(self) -> Usage | None:
        return self._counts or self._timed

    def _output(self) -> tuple[Json, ...]:
        return tuple(
            {"role": "assistant", "content": joined(pieces)}
            for _, pieces in sorted(self._pieces.items())
        )

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        return ()
