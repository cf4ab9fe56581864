"""Messages by Anthropic's SDK, its own host's and Bedrock's; JSON lines tell what it made."""

import json
import os
import sys

import anthropic

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"name": name, "input_schema": SCHEMA} for name in ("get_weather", "get_time")]
if sys.argv[1] == "bedrock":
    API, MODEL, ID = (
        "bedrock.invoke",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "x-amzn-requestid",
    )
    client = anthropic.AnthropicBedrock(
        aws_access_key="AKIAIOSFODNN7EXAMPLE",
        aws_secret_key="dummy",
        aws_region="us-east-1",
        base_url=os.environ["ANTHROPIC_BASE_URL"],
        max_retries=0,
    )
else:
    API, MODEL, ID = "anthropic.messages", "claude-sonnet-4-6", "request-id"
    client = anthropic.Anthropic(max_retries=0)


def tell(headers, **facts):
    print(json.dumps({"api": API, "request_id": headers[ID], **facts}), flush=True)


def tell_message(headers, message, **facts):
    usage = message.usage
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    tell(
        headers,
        request_model=MODEL,
        model=message.model,
        response_id=message.id,
        text="".join(block.text for block in message.content if block.type == "text"),
        thinking="".join(block.thinking for block in message.content if block.type == "thinking"),
        tool_calls=[
            [block.id, block.name, block.input]
            for block in message.content
            if block.type == "tool_use"
        ],
        finish_reason=message.stop_reason,
        usage={
            "input": usage.input_tokens + read + written,
            "output": usage.output_tokens,
            "cache_read": read,
            "cache_write": written,
        },
        **facts,
    )


def asked(turn):
    block = {"type": "text", "text": f"turn={turn}", "cache_control": {"type": "ephemeral"}}
    return {
        "model": MODEL,
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [block]}],
        "tools": TOOLS,
    }


for turn in ("plain", "cached", "tools", "silent", "long"):
    answer = client.messages.with_raw_response.create(**asked(turn))
    tell_message(answer.headers, answer.parse(), stream=False)
    with client.messages.stream(**asked(turn)) as stream:
        tell_message(stream.response.headers, stream.get_final_message(), stream=True)

try:
    client.messages.create(**asked("limited"))
except anthropic.RateLimitError as error:
    about = error.body.get("error", error.body)
    kind = about.get("type") or error.response.headers["x-amzn-errortype"]
    tell(error.response.headers, error=[kind, about["message"]])
with client.messages.stream(**asked("broken")) as stream:
    try:
        stream.get_final_message()
    except anthropic.APIStatusError as error:
        about = error.body["error"]
        tell(stream.response.headers, error=[about["type"], about["message"]])
