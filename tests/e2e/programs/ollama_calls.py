"""Calls with Ollama's SDK, and a JSON line of what it made of each: ollama_calls.py SCRIPT.

SCRIPT: tools, or errors.
"""

import asyncio
import json
import os
import ssl
import sys
from typing import Any

import ollama

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get_time", "transfer_to_human")
]
MODEL = "qwen3:8b"
VERIFY = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
client = ollama.Client(verify=VERIFY)


def tell(responses: list[Any]) -> None:
    last = responses[-1]
    chat = hasattr(last, "message")
    messages = [response.message if chat else response for response in responses]
    texts = [(message.content if chat else message.response) or "" for message in messages]
    calls = [call.function for message in messages if chat for call in message.tool_calls or ()]
    print(
        json.dumps(
            {
                "text": "".join(texts),
                "thoughts": "".join(message.thinking or "" for message in messages),
                "calls": [[call.name, dict(call.arguments)] for call in calls],
                "finish": last.done_reason,
                "model": last.model,
                "input": last.prompt_eval_count,
                "output": last.eval_count,
                "streamed": len(responses) > 1,
                "operation": "chat" if chat else "text_completion",
            }
        ),
        flush=True,
    )


async def asynchronous(asked: dict[str, Any]) -> None:
    models = ollama.AsyncClient(verify=VERIFY)
    tell([await models.chat(**asked)])
    tell([chunk async for chunk in await models.chat(**asked, stream=True)])


def conversation() -> None:
    """Three tool calls, whose ids the SDK drops, and their results."""
    messages: list[Any] = [{"role": "user", "content": "turn=parallel"}]
    answer = client.chat(MODEL, messages, tools=TOOLS)
    tell([answer])
    messages.append(answer.message)
    messages += [
        {
            "role": "tool",
            "tool_name": call.function.name,
            "content": str(dict(call.function.arguments)),
        }
        for call in answer.message.tool_calls
    ]
    tell(list(client.chat(MODEL, messages, tools=TOOLS, stream=True)))


def question(turn: str) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": f"turn={turn}"}]}


if sys.argv[1] == "errors":
    for turn in ("overloaded", "stream-error", "length"):
        try:
            tell(list(client.chat(**question(turn), stream=True)))
        except ollama.ResponseError as error:
            print(json.dumps({"error": error.error, "code": error.status_code}), flush=True)
else:
    for turn in ("plain", "one", "parallel", "silent", "handoff"):
        tell([client.chat(**question(turn), tools=TOOLS)])
        tell(list(client.chat(**question(turn), tools=TOOLS, stream=True)))
    asyncio.run(asynchronous({**question("one"), "tools": TOOLS}))
    conversation()
    tell([client.generate(MODEL, "turn=plain", system="Be brief.")])
    tell(list(client.generate(MODEL, "turn=plain", stream=True)))
    found = client.embed("all-minilm", ["embed this text", "and this one"])
    print(json.dumps({"model": found.model, "tokens": found.prompt_eval_count}), flush=True)
    client.embeddings("all-minilm", "embed this text")
    print(json.dumps({"model": None, "tokens": None}), flush=True)
    client.list()
os._exit(0)
