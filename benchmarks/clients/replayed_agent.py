"""An agent that asks a model what recorded runs asked, and answers tools as it was answered then.

    replayed_agent.py URL CA RUNS

RUNS: JSON lines of {id, messages}, OpenAI chat messages. It sends the history up to each of the
assistant's messages and takes what the model says in its place, with the ids of its tool calls;
what comes between is taken from the record. Standard library only. Prints the number of calls.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from typing import Any
from urllib.parse import urlsplit


def main(url: str, authority: str, runs: str) -> None:
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context)
    calls = 0
    with open(runs, encoding="utf-8") as lines:
        for line in lines:
            calls += replay(connection, parts.path, json.loads(line))
    print(calls)


def replay(connection: http.client.HTTPSConnection, path: str, run: Any) -> int:
    """One run, in a session of its own."""
    names = sorted({c["function"]["name"] for m in run["messages"] for c in tool_calls(m)})
    tools = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in names]
    headers = {
        "content-type": "application/json",
        "authorization": "Bearer sk-dummy-0123456789abcdef",
        "user-agent": "opencode/1.0.0",
        "x-opencode-session": f"ses_{run['id']}",
    }
    history: list[Any] = []
    ids: list[str] = []
    calls = 0
    for message in run["messages"]:
        if message["role"] == "tool":
            history.append({**message, "tool_call_id": ids.pop(0)})
        elif message["role"] != "assistant":
            history.append(message)
        else:
            body = {"model": "gpt-4o", "messages": history, "tools": tools}
            connection.request("POST", path, json.dumps(body).encode(), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                sys.exit(f"HTTP {response.status}: {answer}")
            said = answer["choices"][0]["message"]
            history.append(said)
            ids = [call["id"] for call in tool_calls(said)]
            calls += 1
    return calls


def tool_calls(message: Any) -> list[Any]:
    return message.get("tool_calls") or []


if __name__ == "__main__":
    main(*sys.argv[1:])
