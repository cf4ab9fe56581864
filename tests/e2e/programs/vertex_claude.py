"""Anthropic's SDK on Vertex AI, streamed and not, and a JSON line of what it made of each."""

import json
import os
import sys

import anthropic

client = anthropic.AnthropicVertex(
    base_url=os.environ["ANTHROPIC_BASE_URL"] + "/v1",
    project_id="p",
    region="us-east5",
    access_token="dummy",
)
tool = {"name": "get_weather", "input_schema": {"type": "object"}}
for turn in sys.argv[1:]:
    asked = {
        "model": "claude-sonnet-4@20250514",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"turn={turn}"}],
        "tools": [tool],
    }
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (client.messages.create(**asked), streamed):
        print(json.dumps([message.stop_reason, message.usage.output_tokens]), flush=True)
client.messages.count_tokens(model=asked["model"], messages=asked["messages"])
os._exit(0)
