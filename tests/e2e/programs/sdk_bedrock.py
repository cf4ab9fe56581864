"""Every call that boto3's bedrock-runtime makes; a JSON line tells what it accumulated."""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

CONVERSE_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
INVOKE_MODEL = (
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
    "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ("get_weather", "get_time")

client = boto3.client(
    "bedrock-runtime",
    region_name="us-east-1",
    endpoint_url=os.environ["ANTHROPIC_BASE_URL"],
    aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
    aws_secret_access_key="dummy",
    verify=os.environ["SSL_CERT_FILE"],
    config=Config(retries={"total_max_attempts": 1}),
)


def tell(api, request_id, **facts):
    print(json.dumps({"api": api, "request_id": request_id, **facts}), flush=True)


def id_of(response):
    return response["ResponseMetadata"]["RequestId"]


def error_of(error):
    return [error.response["Error"]["Code"], error.response["Error"]["Message"]]


def tell_converse(request_id, content, stop_reason, usage, **facts):
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    reasons = [block["reasoningContent"] for block in content if "reasoningContent" in block]
    tell(
        "bedrock.converse",
        request_id,
        request_model=CONVERSE_MODEL,
        text="".join(block.get("text", "") for block in content),
        thinking="".join(one["reasoningText"]["text"] for one in reasons),
        tool_calls=[[call["toolUseId"], call["name"], call["input"]] for call in calls],
        finish_reason=stop_reason,
        usage={
            "input": usage["inputTokens"]
            + usage["cacheReadInputTokens"]
            + usage["cacheWriteInputTokens"],
            "output": usage["outputTokens"],
            "cache_read": usage["cacheReadInputTokens"],
            "cache_write": usage["cacheWriteInputTokens"],
        },
        model=None,
        **facts,
    )


def converse(turn):
    return {
        "modelId": CONVERSE_MODEL,
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        "messages": [{"role": "user", "content": [{"text": f"turn={turn}"}]}],
        "inferenceConfig": {"maxTokens": 100},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": name, "inputSchema": {"json": SCHEMA}}} for name in NAMES
            ]
        },
    }


def accumulated(stream):
    """The message of a stream, as the documentation of ConverseStream puts it together."""
    blocks, inputs, stop_reason, usage = {}, {}, None, None
    for event in stream:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            blocks[start["contentBlockIndex"]] = {"toolUse": start["start"]["toolUse"]}
            inputs[start["contentBlockIndex"]] = ""
        elif "contentBlockDelta" in event:
            index = event["contentBlockDelta"]["contentBlockIndex"]
            delta = event["contentBlockDelta"]["delta"]
            if "text" in delta:
                block = blocks.setdefault(index, {"text": ""})
                block["text"] += delta["text"]
            elif "toolUse" in delta:
                inputs[index] += delta["toolUse"]["input"]
            else:
                empty = {"reasoningContent": {"reasoningText": {"text": ""}}}
                said = blocks.setdefault(index, empty)["reasoningContent"]["reasoningText"]
                said["text"] += delta["reasoningContent"].get("text", "")
        elif "messageStop" in event:
            stop_reason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    for index, text in inputs.items():
        blocks[index]["toolUse"]["input"] = json.loads(text or "{}")
    return [block for _, block in sorted(blocks.items())], stop_reason, usage


def invoke(turn):
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"turn={turn}"}],
        "tools": [{"name": name, "input_schema": SCHEMA} for name in NAMES],
    }
    return {"modelId": INVOKE_MODEL, "body": json.dumps(body)}


for turn in ("plain", "cached", "tools", "silent", "long"):
    response = client.converse(**converse(turn))
    tell_converse(
        id_of(response),
        response["output"]["message"]["content"],
        response["stopReason"],
        response["usage"],
        stream=False,
    )
    response = client.converse_stream(**converse(turn))
    tell_converse(id_of(response), *accumulated(response["stream"]), stream=True)
    response = client.invoke_model(**invoke(turn))
    message = json.loads(response["body"].read())
    usage = message["usage"]
    tell(
        "bedrock.invoke",
        id_of(response),
        request_model=INVOKE_MODEL,
        model=message["model"],
        response_id=message["id"],
        stream=False,
        text="".join(block.get("text", "") for block in message["content"]),
        finish_reason=message["stop_reason"],
        usage={"output": usage["output_tokens"], "cache_read": usage["cache_read_input_tokens"]},
    )
    response = client.invoke_model_with_response_stream(**invoke(turn))
    events = [json.loads(event["chunk"]["bytes"]) for event in response["body"]]
    measured = events[-1]["amazon-bedrock-invocationMetrics"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    tell(
        "bedrock.invoke",
        id_of(response),
        stream=True,
        text="".join(delta.get("text", "") for delta in deltas),
        usage={
            "input": measured["inputTokenCount"]
            + measured["cacheReadInputTokenCount"]
            + measured["cacheWriteInputTokenCount"],
            "output": measured["outputTokenCount"],
        },
    )

for name in ("converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream"):
    arguments = converse("limited") if name.startswith("converse") else invoke("limited")
    api = "bedrock.converse" if name.startswith("converse") else "bedrock.invoke"
    try:
        getattr(client, name)(**arguments)
    except ClientError as error:
        tell(api, id_of(error.response), error=error_of(error))

response = client.converse_stream(**converse("broken"))
try:
    for _ in response["stream"]:
        pass
except EventStreamError as error:
    tell("bedrock.converse", id_of(response), error=error_of(error))
response = client.invoke_model_with_response_stream(**invoke("broken"))
try:
    for _ in response["body"]:
        pass
except EventStreamError as error:
    tell("bedrock.invoke", id_of(response), error=error_of(error))
