"""Chat and Responses with a tool on offer, streamed and not, one after the other on one client."""

import sys

from openai import OpenAI

PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}}
CHAT_TOOL = {"type": "function", "function": {"name": "bash", "parameters": PARAMETERS}}
RESPONSES_TOOL = {"type": "function", "name": "bash", "parameters": PARAMETERS, "strict": False}
TURNS = ("plain", "one", "parallel", "silent", "shell", "handoff")

client = OpenAI()
for number in range(int(sys.argv[1])):
    turn = TURNS[number % len(TURNS)]
    chat = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"turn={turn} {number}"}],
        "tools": [CHAT_TOOL],
    }
    client.chat.completions.create(**chat)
    for _ in client.chat.completions.create(
        **chat, stream=True, stream_options={"include_usage": True}
    ):
        pass
    responses = {"model": "gpt-5-mini", "input": f"turn={turn} {number}", "tools": [RESPONSES_TOOL]}
    client.responses.create(**responses)
    for _ in client.responses.create(**responses, stream=True):
        pass
