"""Chat, embed and rerank by Cohere's SDK; a JSON line tells what it accumulated."""

import json
import os

import cohere
from cohere.core.api_error import ApiError

MODEL = "command-a-03-2025"
NAMES = ("get_weather", "get_time")
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in NAMES
]
client = cohere.ClientV2(api_key="dummy-key-0123456789", base_url=os.environ["ANTHROPIC_BASE_URL"])
raw = client.with_raw_response


def tell(api, headers, **facts):
    print(json.dumps({"api": api, "request_id": headers["x-request-id"], **facts}), flush=True)


def asked(turn):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"turn={turn}"},
    ]
    return {"model": MODEL, "messages": messages, "tools": TOOLS}


def counted(usage):
    billed = usage.billed_units
    return {
        "input": billed.input_tokens,
        "output": billed.output_tokens,
        "cache_read": usage.cached_tokens,
    }


for turn in ("plain", "cached", "tools", "silent", "long"):
    response = raw.chat(**asked(turn))
    message = response.data.message
    content = message.content or []
    tell(
        "cohere.chat",
        response.headers,
        stream=False,
        request_model=MODEL,
        model=None,
        response_id=response.data.id,
        text="".join(part.text for part in content if part.type == "text"),
        thinking="".join(part.thinking for part in content if part.type == "thinking"),
        tool_calls=[
            [call.id, call.function.name, json.loads(call.function.arguments)]
            for call in message.tool_calls or []
        ],
        finish_reason=response.data.finish_reason,
        usage=counted(response.data.usage),
    )
    with raw.chat_stream(**asked(turn)) as response:
        text, thinking, calls, response_id, end = "", "", [], None, None
        for event in response.data:
            if event.type == "message-start":
                response_id = event.id
            elif event.type == "content-delta":
                text += event.delta.message.content.text or ""
                thinking += event.delta.message.content.thinking or ""
            elif event.type == "tool-call-start":
                call = event.delta.message.tool_calls
                calls.append([call.id, call.function.name, call.function.arguments])
            elif event.type == "tool-call-delta":
                calls[-1][2] += event.delta.message.tool_calls.function.arguments
            elif event.type == "message-end":
                end = event.delta
        tell(
            "cohere.chat",
            response.headers,
            stream=True,
            response_id=response_id,
            text=text,
            thinking=thinking,
            tool_calls=[[*call[:2], json.loads(call[2])] for call in calls],
            finish_reason=end.finish_reason,
            usage=counted(end.usage),
        )

response = raw.embed(
    model="embed-v4.0", texts=["a", "b"], input_type="search_query", embedding_types=["float"]
)
billed = response.data.meta.billed_units.input_tokens
tell(
    "cohere.embed",
    response.headers,
    request_model="embed-v4.0",
    response_id=response.data.id,
    usage={"input": billed, "output": 0},
)
response = raw.rerank(model="rerank-v3.5", query="capital", documents=["a", "b"])
tell(
    "cohere.rerank",
    response.headers,
    request_model="rerank-v3.5",
    response_id=response.data.id,
    usage={"input": None, "output": None},
)
try:
    client.chat(**asked("limited"), request_options={"max_retries": 0})
except ApiError as error:
    tell("cohere.chat", error.headers, error=[str(error.status_code), error.body["message"]])
with raw.chat_stream(**asked("broken")) as response:
    for event in response.data:
        if event.type == "message-end":
            tell("cohere.chat", response.headers, error=["error", event.delta.error])
