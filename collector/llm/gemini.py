"""Gemini's generateContent: the Gemini API, Vertex AI, and Code Assist, which wraps both bodies.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format:
https://ai.google.dev/api/generate-content and google.cloud.aiplatform.v1 PredictionService. A
stream is server-sent events (`alt=sse`) or one JSON array; each of its events is a
GenerateContentResponse that holds only new parts. Requests write field names in camel or in snake
case (ProtoJSON). Code Assist (`v1internal`, the login of Google's CLI) sends
`{model, project, request: {...}}` and gets `{response: {...}, traceId}`.
"""

from __future__ import annotations

from dataclasses import replace

from collector.http.events import RequestHead, ResponseHead
from collector.http.json_array import JsonArrayDecoder
from collector.llm.body import BodyDecoder, joined
from collector.llm.call_matching import MatchIds
from collector.llm.fields import count, dump, mapping, objects, parse_object, word
from collector.llm.gemini_calls import PartialCall, is_piece, match_ids_after, tool_results
from collector.llm.google_path import google_path
from collector.llm.model import Json, JsonObject, LlmRequest, LlmResponse, ToolCall, Usage

_METHODS = {"generateContent": False, "streamGenerateContent": True}
_SYSTEM = ("systemInstruction", "system_instruction")
_DECLARATIONS = ("functionDeclarations", "function_declarations")
_SETTINGS = (
    *_SYSTEM,
    *("tools", "toolConfig", "tool_config", "generationConfig", "generation_config"),
    *("safetySettings", "safety_settings", "cachedContent", "cached_content"),
)
_JOINABLE = frozenset(("text", "thought"))
_USAGE = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "promptTokensDetails",
    "cacheTokensDetails",
    "candidatesTokensDetails",
    "trafficType",
)


class Gemini:
    """The `Api` of Gemini models, wherever Google serves them."""

    name = "gemini"
    operation = "generate_content"
    native_provider = "gcp.gemini"

    def matches(self, head: RequestHead) -> bool:
        """Could this request be a call of this API?"""
        path = google_path(head)
        return path is not None and path.method in _METHODS

    def has_shape(self, body: JsonObject) -> bool:
        """Contents of parts, and settings: without these it could be a count of tokens."""
        body = _unwrapped(body)
        contents = objects(body, "contents")
        return any("parts" in one for one in contents) and any(key in body for key in _SETTINGS)

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape.

        Function declarations and Google's own tools are one tool each. What Code Assist wraps
        around the request stands in `params` beside the request's own fields.
        """
        outer = parse_object(body)
        if outer is None:
            return None
        request = _unwrapped(outer)
        contents = request.pop("contents", None)
        if type(contents) is dict:  # ProtoJSON allows it for a list of one
            contents = [contents]
        if type(contents) is not list:
            return None
        around = outer if request is not outer else {}
        path = google_path(head)
        model = (path.model if path else None) or word(outer, "model") or word(request, "model")
        system = [request.pop(key) for key in _SYSTEM if key in request]
        tools = request.pop("tools", None)
        return LlmRequest(
            request_model=model.removeprefix("models/") if model else None,
            stream=_METHODS.get(path.method, False) if path else False,
            system=tuple(
                {"parts": [{"text": one}]} if type(one) is str else one for one in system if one
            ),
            messages=tuple(contents),
            tools=tuple(_tools(tools if type(tools) is list else [tools])),
            params={
                key: value
                for fields in (request, around)
                for key, value in fields.items()
                if key != "model" and not (fields is around and key == "request")
            },
            tool_results=tuple(tool_results(contents)),
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> GeminiResponse:
        """A decoder for the response that begins with `head`."""
        return GeminiResponse(head, request)


class GeminiResponse(BodyDecoder):
    """Accumulates one response. `output` is a content for each candidate: role and parts.

    Adjacent texts of one kind (said or thought) are one part, except a text with a signature,
    which Google asks to leave alone. Empty texts are left out.
    """

    array_framing = JsonArrayDecoder

    def __init__(self, head: ResponseHead, request: LlmRequest) -> None:
        super().__init__(head)
        self._request = request
        self._ids_before: MatchIds | None = None
        self._candidates: dict[int, _Candidate] = {}
        self._trace_id: str | None = None
        self._reported: JsonObject = {}  # fields of usageMetadata, the last of each

    def _take_event(self, event: JsonObject) -> None:
        if self._take_response(event):
            self._chunk_ns.append(self._now_ns)

    def _take_json(self, body: JsonObject) -> None:
        self._event_bytes = len(self._body)
        self._take_response(body)
        self._ended |= bool(self._candidates)

    def _take_response(self, event: JsonObject) -> bool:
        """Take a GenerateContentResponse; does it hold generated content?"""
        if "error" in event:
            self._fail(event)
            return False
        response = event.get("response")
        if type(response) is dict:
            self._trace_id = self._trace_id or word(event, "traceId")
            event = response
        if self._response_id is None or self._model is None:
            self._response_id = self._response_id or word(event, "responseId")
            self._model = self._model or word(event, "modelVersion")
        usage = event.get("usageMetadata")
        if type(usage) is dict:  # totals so far: absent ones leave what was known
            for key in _USAGE:
                if key in usage:
                    self._reported[key] = usage[key]
            # Gemini API; Vertex AI
            tier = word(usage, "serviceTier") or word(usage, "trafficType")
            self._service_tier = tier or self._service_tier
        if "promptFeedback" in event:
            blocked = _enum(mapping(event, "promptFeedback"), "blockReason")
            if blocked is not None:
                self._finish_reason = self._finish_reason or blocked
                self._ended = True
        said = False
        for candidate in objects(event, "candidates"):
            said |= self._take_candidate(candidate)
        return said

    def _take_candidate(self, candidate: JsonObject) -> bool:
        index = candidate.get("index", 0)
        known = self._candidates.get(index) if type(index) is int else None
        if known is None:
            if type(index) is not int or not self._has_room(0):
                return False
            known = self._candidates[index] = _Candidate()
        if "finishReason" in candidate:
            finish = _enum(candidate, "finishReason")
            if finish is not None:
                self._ended = True
                if index == min(self._candidates):
                    self._finish_reason = finish
        said = False
        content = mapping(candidate, "content")
        known.role = word(content, "role") or known.role
        for part in objects(content, "parts"):
            text = part.get("text")
            is_text = type(text) is str and part.keys() <= _JOINABLE
            if is_text and not text:
                continue
            if self._has_room(len(text or "") if is_text else self._event_bytes):
                known.take(part, is_text, self._now_ns)
                said |= text != ""
        return said

    def _usage(self) -> Usage | None:
        """Input is the prompt, cached tokens included, and what Google's own tools put in; output
        is what was said and what was thought (`total_token_count` is defined as their sum)."""
        known = self._reported
        prompt, tool_use = count(known, "promptTokenCount"), count(known, "toolUsePromptTokenCount")
        said, thoughts = count(known, "candidatesTokenCount"), count(known, "thoughtsTokenCount")
        output = None if said is None and thoughts is None else (said or 0) + (thoughts or 0)
        found = Usage(
            input_tokens=None if prompt is None else prompt + (tool_use or 0),
            output_tokens=output,
            cache_read_tokens=count(known, "cachedContentTokenCount"),
            reasoning_tokens=thoughts,
            input_audio_tokens=_of_modality(known, "promptTokensDetails", "AUDIO"),
            output_audio_tokens=_of_modality(known, "candidatesTokensDetails", "AUDIO"),
            cache_audio_read_tokens=_of_modality(known, "cacheTokensDetails", "AUDIO"),
            input_image_tokens=_of_modality(known, "promptTokensDetails", "IMAGE"),
            output_image_tokens=_of_modality(known, "candidatesTokensDetails", "IMAGE"),
            cache_image_read_tokens=_of_modality(known, "cacheTokensDetails", "IMAGE"),
        )
        return None if found == Usage() else found

    def _response(self, final: bool, complete: bool) -> LlmResponse:
        self._service_tier = word(self._reported, "trafficType")
        response = super()._response(final, complete)
        if response.response_id is None and self._trace_id is not None:
            return replace(response, response_id=self._trace_id)
        return response

    def _output(self) -> tuple[Json, ...]:
        return tuple(
            {"role": candidate.role, "parts": [part.json() for part in candidate.parts]}
            for _, candidate in sorted(self._candidates.items())
            if candidate.parts
        )

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        parts = [
            part
            for _, candidate in sorted(self._candidates.items())
            for part in candidate.parts
            if part.is_call
        ]
        if not parts:
            return ()
        if self._ids_before is None:
            self._ids_before = match_ids_after(self._request.messages)
        ids = self._ids_before.copy()
        calls = []
        for part in parts:
            call = part.call()
            name, args = word(call, "name"), mapping(call, "args")
            if name is None:
                continue
            match_id = ids.take(name, args)
            if final or not part.is_open:
                calls.append(ToolCall(word(call, "id"), name, dump(args), part.last_ns, match_id))
        return tuple(calls)


class _Candidate:
    """One candidate's content."""

    def __init__(self) -> None:
        self.role = "model"
        self.parts: list[_Part] = []

    def take(self, part: JsonObject, is_text: bool, now_ns: int) -> None:
        """Take a part of an event; `is_text`: text may be joined to it, and it to text."""
        last = self.parts[-1] if self.parts else None
        if last is None or not last.extend(part, is_text, now_ns):
            self.parts.append(_Part(part, is_text, now_ns))


class _Part:
    """A part as it came first, and what extends it: text, or the pieces of a call."""

    __slots__ = ("_part", "_partial", "_pieces", "is_call", "last_ns")

    def __init__(self, part: JsonObject, is_text: bool, now_ns: int) -> None:
        self._part = part
        self._pieces: list[str] | None = [part["text"]] if is_text else None
        self._partial: PartialCall | None = None
        self.last_ns = now_ns
        call = part.get("functionCall")
        self.is_call = type(call) is dict
        if type(call) is dict and is_piece(call):
            self._partial = PartialCall()
            self._partial.add(call)

    @property
    def is_open(self) -> bool:
        """Will more pieces of the call come?"""
        return self._partial is not None and self._partial.is_open

    def extend(self, part: JsonObject, is_text: bool, now_ns: int) -> bool:
        """Take a part that goes on with this one; False when it does not."""
        if self._pieces is not None:
            same_kind = (part.get("thought") is True) == (self._part.get("thought") is True)
            if not is_text or not same_kind:
                return False
            self._pieces.append(part["text"])
        else:
            call = part.get("functionCall")
            if self._partial is None or not self._partial.is_open or type(call) is not dict:
                return False
            self._partial.add(call)
            self._part = {**part, **self._part}
        self.last_ns = now_ns
        return True

    def call(self) -> JsonObject:
        """The function call, as far as it has come."""
        return self._partial.call() if self._partial else mapping(self._part, "functionCall")

    def json(self) -> JsonObject:
        """The part, joined."""
        if self._pieces is not None:
            return {**self._part, "text": joined(self._pieces)}
        return {**self._part, "functionCall": self.call()} if self._partial else self._part


def _unwrapped(body: JsonObject) -> JsonObject:
    """The request that Code Assist wraps; the body itself when there is none in it."""
    inner = body.get("request")
    return inner if type(inner) is dict and "contents" in inner else body


def _tools(tools: list[Json]) -> list[Json]:
    found: list[Json] = []
    for tool in tools:
        if type(tool) is not dict:
            continue
        for key, value in tool.items():
            if key in _DECLARATIONS and type(value) is list:
                found += value
            else:
                found.append({key: value})
    return found


def _enum(obj: JsonObject, key: str) -> str | None:
    """An enum's name, or its number as text where the client asked for numbers."""
    value = obj.get(key)
    return str(value) if type(value) is int else word(obj, key)


def _of_modality(usage: JsonObject, details: str, modality: str) -> int | None:
    """Tokens of a modality in a breakdown. None there is as good as no word of it: these only
    have prices of their own."""
    for detail in objects(usage, details):
        if detail.get("modality") == modality:
            return count(detail, "tokenCount") or None
    return None
