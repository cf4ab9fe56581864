"""What a span says about one LLM call.

In: a `CallRow`, and the session's messages when content goes out. Out: attributes by name, None
where something is not known; `collector.exporters.spans` puts them on the span.
"""

from __future__ import annotations

from collections.abc import Mapping

from collector.exporters import semconv
from collector.exporters.messages import (
    Conversation,
    input_messages,
    output_messages,
    system_instructions,
    tool_definitions,
)
from collector.llm.fields import mapping, parse_object, word
from collector.llm.model import JsonObject
from collector.rows import CallRow

Attribute = str | bool | int | float | tuple[str, ...]

_HTTPS_PORT = 443
_NUMBERS = (
    ("temperature", semconv.REQUEST_TEMPERATURE),
    ("top_p", semconv.REQUEST_TOP_P),
    ("top_k", semconv.REQUEST_TOP_K),
    ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY),
    ("presence_penalty", semconv.REQUEST_PRESENCE_PENALTY),
)
_TOKEN_LIMITS = (
    *("max_tokens", "max_completion_tokens", "max_output_tokens"),
    *("maxOutputTokens", "maxTokens", "num_predict"),
)
# where APIs keep the parameters of generation: Gemini, Bedrock, Ollama
_GROUPS = ("generationConfig", "inferenceConfig", "options")
# their names for parameters -> those of the others
_SAME = {"topP": "top_p", "topK": "top_k", "p": "top_p", "k": "top_k"} | {
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "stopSequences": "stop_sequences",
    "candidateCount": "n",
}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def known(attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    """Without what is not known."""
    return {name: value for name, value in attributes.items() if value is not None}


def call_attributes(
    call: CallRow, conversation: Conversation | None = None
) -> dict[str, Attribute | None]:
    """Everything about a call except its session."""
    address, port = server(call.host)
    protocol, _, version = (call.protocol or "").partition("/")
    streamed = call.stream and call.first_token_ns is not None
    attributes: dict[str, Attribute | None] = {
        semconv.OPERATION_NAME: call.operation,
        semconv.PROVIDER_NAME: call.provider,
        semconv.AGENT_NAME: call.agent,
        semconv.AGENT_VERSION: call.agent_version,
        semconv.REQUEST_MODEL: call.request_model,
        semconv.REQUEST_STREAM: call.stream or None,
        semconv.RESPONSE_ID: call.response_id,
        semconv.RESPONSE_MODEL: call.model,
        semconv.RESPONSE_FINISH_REASONS: finish_reasons(call),
        semconv.RESPONSE_TIME_TO_FIRST_CHUNK: ((call.first_token_ns or 0) - call.started_ns) / 1e9
        if streamed
        else None,
        semconv.USAGE_INPUT_TOKENS: call.input_tokens,
        semconv.USAGE_OUTPUT_TOKENS: call.output_tokens,
        semconv.USAGE_CACHE_READ_TOKENS: call.cache_read_tokens,
        semconv.USAGE_CACHE_CREATION_TOKENS: call.cache_write_tokens,
        semconv.USAGE_CACHE_WRITE_TOKENS: call.cache_write_tokens,
        semconv.USAGE_REASONING_TOKENS: call.reasoning_tokens,
        semconv.SERVER_ADDRESS: address,
        semconv.SERVER_PORT: port,
        semconv.NETWORK_PROTOCOL_NAME: protocol or None,
        semconv.NETWORK_PROTOCOL_VERSION: version or None,
        semconv.HTTP_RESPONSE_STATUS_CODE: call.http_status,
        semconv.ERROR_TYPE: call.error_type or ("_OTHER" if call.status == "error" else None),
        semconv.OWN_CALL_ID: call.call_id,
        semconv.OWN_CALL_STATUS: call.status,
        semconv.OWN_CALL_COMPLETE: None if call.status == "running" else call.complete,
        semconv.OWN_CALL_RETRY_OF: call.retry_of,
        semconv.OWN_API: call.api,
        semconv.OWN_PID: call.pid,
        semconv.OWN_COMM: call.comm,
        semconv.OWN_COST_USD: call.cost_usd,
        semconv.OWN_COST_SOURCE: call.cost_source,
        semconv.OWN_USAGE_SOURCE: call.usage_source,
        semconv.OWN_LOST_BYTES: call.lost_bytes,
        semconv.OWN_REQUEST_BYTES: call.request_bytes,
        semconv.OWN_RESPONSE_BYTES: call.response_bytes,
        semconv.OWN_PROVIDER_REQUEST_ID: call.provider_request_id,
        **request_parameters(call.params),
    }
    if conversation is not None:
        attributes.update(_content(conversation, call))
    return attributes


def finish_reasons(call: CallRow) -> tuple[str, ...] | None:
    """Why the model stopped; `error` for a response that was cut short while it came.

    Where the cut may be our own loss of bytes, the reason is not known.
    """
    if call.finish_reason is not None:
        return (call.finish_reason,)
    begun = call.first_token_ns is not None or call.first_byte_ns is not None
    refused = call.http_status is not None and call.http_status >= 400
    cut = call.status in ("incomplete", "error") and begun and not refused
    return ("error",) if cut and call.lost_bytes == 0 else None


def server(host: str | None) -> tuple[str | None, int | None]:
    """Address and port of a Host header. Only TLS is read: without a port it is that of HTTPS."""
    if not host:
        return None, None
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host.strip("[]"), _HTTPS_PORT
    if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return name.strip("[]"), int(port)
    return name.strip("[]"), None


def request_parameters(params: str | None) -> dict[str, Attribute | None]:
    """Attributes of the parameters that a request set, whatever its API calls them."""
    given = parse_object(params.encode()) if params else None
    if given is None:
        return {}
    for group in _GROUPS:
        given = {**mapping(given, group), **given}
    given |= {known: given[own] for own, known in _SAME.items() if own in given}
    found: dict[str, Attribute | None] = {
        attribute: _number(given, name) for name, attribute in _NUMBERS
    }
    limits = (_whole(given, name) for name in _TOKEN_LIMITS)
    found[semconv.REQUEST_MAX_TOKENS] = next((one for one in limits if one is not None), None)
    found[semconv.REQUEST_SEED] = _whole(given, "seed")
    choices = _whole(given, "n")
    found[semconv.REQUEST_CHOICE_COUNT] = choices if choices != 1 else None
    stop = given.get("stop_sequences", given.get("stop"))
    stop = [stop] if type(stop) is str else stop
    if type(stop) is list and stop and all(type(one) is str for one in stop):
        found[semconv.REQUEST_STOP_SEQUENCES] = tuple(stop)
    output = mapping(given, "response_format") or mapping(mapping(given, "text"), "format")
    found[semconv.OUTPUT_TYPE] = _OUTPUT_TYPES.get(word(output, "type") or "")
    return found


def _content(conversation: Conversation, call: CallRow) -> dict[str, Attribute | None]:
    sent = conversation.chain(call.input_node)
    answered = conversation.chain(call.output_node, until=call.input_node)
    reasons = finish_reasons(call)
    return {
        semconv.SYSTEM_INSTRUCTIONS: system_instructions(sent),
        semconv.INPUT_MESSAGES: input_messages(sent),
        semconv.OUTPUT_MESSAGES: output_messages(answered, reasons[0] if reasons else None),
        semconv.TOOL_DEFINITIONS: tool_definitions(
            conversation.tool_sets.get(call.tool_set or "", ())
        ),
    }


def _whole(given: JsonObject, name: str) -> int | None:
    value = given.get(name)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def _number(given: JsonObject, name: str) -> float | None:
    value = given.get(name)
    return float(value) if type(value) is int or type(value) is float else None
