"""Every name that the exporters write: OpenTelemetry's attributes, and our own.

In: nothing. Out: constants for `collector.exporters.spans`. The names are those of semantic
conventions 1.41.1, plus `NEWER_NAMES`, which the GenAI conventions have since introduced and some
backends prefer. What no convention names is ours, under `underglass.`.
"""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.1"
SCOPE_NAME = "underglass"

# Values of gen_ai.operation.name, which also begin the span's name
INVOKE_AGENT = "invoke_agent"
CHAT = "chat"
EXECUTE_TOOL = "execute_tool"

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
AGENT_NAME = "gen_ai.agent.name"
AGENT_VERSION = "gen_ai.agent.version"
CONVERSATION_ID = "gen_ai.conversation.id"
OUTPUT_TYPE = "gen_ai.output.type"

REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_CHOICE_COUNT = "gen_ai.request.choice.count"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
REQUEST_STOP_SEQUENCES = "gen_ai.request.stop_sequences"

RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"  # seconds

USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"  # cache reads and writes included
USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
USAGE_CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"  # the newer name
USAGE_REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"

# Content, each a JSON text
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT = "gen_ai.tool.call.result"

ERROR_TYPE = "error.type"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
NETWORK_PROTOCOL_NAME = "network.protocol.name"
NETWORK_PROTOCOL_VERSION = "network.protocol.version"

# Resource
SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
HOST_NAME = "host.name"
TELEMETRY_SDK_NAME = "telemetry.sdk.name"
TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language"
TELEMETRY_SDK_VERSION = "telemetry.sdk.version"

OWN_SESSION_ID = "underglass.session.id"
OWN_SESSION_CONFIDENCE = "underglass.session.confidence"  # read | inferred
OWN_SESSION_PARENT_ID = "underglass.session.parent_id"
OWN_CALL_ID = "underglass.call.id"
OWN_CALL_STATUS = "underglass.call.status"  # ok | error | incomplete | running
OWN_CALL_COMPLETE = "underglass.call.complete"
OWN_CALL_RETRY_OF = "underglass.call.retry_of"
OWN_API = "underglass.api"
OWN_PID = "underglass.pid"
OWN_COMM = "underglass.comm"
OWN_COST_USD = "underglass.cost.usd"
OWN_COST_SOURCE = "underglass.cost.source"
OWN_USAGE_SOURCE = "underglass.usage.source"  # reported | estimated | output_estimated
OWN_LOST_BYTES = "underglass.lost_bytes"
OWN_REQUEST_BYTES = "underglass.request_bytes"
OWN_RESPONSE_BYTES = "underglass.response_bytes"
OWN_PROVIDER_REQUEST_ID = "underglass.provider_request_id"
OWN_TOOL_ANSWERED = "underglass.tool.answered"
OWN_TOOL_RESULT_IS_PREVIEW = "underglass.tool.result_is_preview"
OWN_LINK = "underglass.link"  # requested_by | retry_of | parent_session

NEWER_NAMES = frozenset({USAGE_CACHE_WRITE_TOKENS})
