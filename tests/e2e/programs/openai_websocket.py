"""Responses over one WebSocket: a chain of turns, parallel lanes, and a refusal. Prints what the
SDK has accumulated of each response, one JSON line each. WORDS are said in each turn."""

import asyncio
import json
import os
import sys

from openai import AsyncOpenAI

PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}}
TOOL = {"type": "function", "name": "bash", "parameters": PARAMETERS, "strict": False}
TURNS = ("plain", "one", "parallel", "silent", "shell", "handoff")
COMPRESSION = sys.argv[2] if len(sys.argv) > 2 else None


async def finished(connection):
    text = {}
    async for event in connection:
        lane = getattr(event, "stream_id", None)
        if event.type == "response.output_text.delta":
            text[lane] = text.get(lane, "") + event.delta
        elif event.type == "error":
            print(json.dumps({"error": event.error.to_dict(), "status": event.status}))
            return None
        elif event.type in ("response.completed", "response.incomplete", "response.failed"):
            response = event.response.to_dict()
            print(json.dumps({"response": response, "text": text.get(lane, "")}), flush=True)
            return response["id"]
    raise SystemExit("the connection ended")


async def main():
    client = AsyncOpenAI()
    options = {"compression": COMPRESSION, "max_size": 1 << 24}
    async with client.responses.connect(websocket_connection_options=options) as connection:
        previous = None
        for number in range(int(sys.argv[1])):
            named = {} if previous is None else {"previous_response_id": previous}
            await connection.response.create(
                model="gpt-5-mini",
                instructions="Do as you are told.",
                input=f"turn={TURNS[number % len(TURNS)]} {number}" + os.environ.get("WORDS", ""),
                tools=[TOOL],
                **named,
            )
            previous = await finished(connection)
        lanes = {"model": "gpt-5-mini", "tools": [TOOL]}
        await connection.response.create(input="turn=one in a", stream_id="a", **lanes)
        await connection.response.create(input="turn=parallel in b", stream_id="b", **lanes)
        await finished(connection)
        await finished(connection)
        await connection.response.create(
            model="gpt-5-mini", input="x", previous_response_id="resp_gone"
        )
        await finished(connection)


asyncio.run(main())
