"""Messages with a tool on offer, streamed and not, one after the other on one client."""

import sys

from anthropic import Anthropic

TOOL = {
    "name": "bash",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
}
TURNS = ("plain", "one", "parallel", "silent", "shell", "handoff")

client = Anthropic()
for number in range(int(sys.argv[1])):
    turn = TURNS[number % len(TURNS)]
    request = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"turn={turn} {number}"}],
        "tools": [TOOL],
    }
    client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        stream.get_final_message()
