"""An agent that writes down by its own clock where its time goes: one JSON object at the end.

`timed_agent.py PAUSE_S HICCUP_S`. It asks, runs the tool that the model asks for, waits as long as
a 429 says, answers its user, waits PAUSE_S for the user's next words, and stops reading in the
middle of the last answer for HICCUP_S.
"""

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

TOOL = {"name": "bash", "description": "Run.", "input_schema": {"type": "object", "properties": {}}}
HICCUP_AFTER = 8  # pieces of text
spent: dict[str, list[float]] = {}
url = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
connection = http.client.HTTPSConnection(
    str(url.hostname), url.port, context=ssl.create_default_context()
)


def note(part: str, since: float) -> float:
    """Add the time since then to a part; now."""
    now = time.monotonic()
    spent.setdefault(part, []).append(now - since)
    return now


def post(messages: list[dict[str, Any]]) -> http.client.HTTPResponse:
    body = {"model": "claude-sonnet-4-6", "max_tokens": 100, "stream": True}
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    text = json.dumps({**body, "tools": [TOOL], "messages": messages})
    connection.request("POST", "/v1/messages", text, headers)
    return connection.getresponse()


def ask(messages: list[dict[str, Any]], hiccup_s: float = 0.0) -> list[dict[str, Any]]:
    begun = time.monotonic()
    response = post(messages)
    while response.status == 429:
        response.read()
        time.sleep(float(response.headers["retry-after"]))
        begun = note("retry", begun)
        response = post(messages)
    blocks: list[dict[str, Any]] = []
    arguments, pieces, stalled_s = "", 0, 0.0
    while line := response.readline():
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            pieces += 1
            if pieces == 1:
                begun = note("queue", begun)
            delta = event["delta"]
            if delta["type"] == "text_delta":
                blocks[-1]["text"] += delta["text"]
            else:
                arguments += delta.get("partial_json", "")
            if pieces == HICCUP_AFTER and hiccup_s:
                stalled_from = time.monotonic()
                time.sleep(hiccup_s)
                stalled_s = note("stall", stalled_from) - stalled_from
    note("generation", begun + stalled_s)
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(arguments)
    return blocks


def main() -> None:
    pause_s, hiccup_s = map(float, sys.argv[1:])
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Run the slow tool."}]
    blocks = ask(messages)
    called_at = time.monotonic()
    results = []
    for block in blocks:
        if block["type"] == "tool_use":
            subprocess.run(["/bin/sh", "-c", block["input"]["command"]], check=True)
            results.append({"type": "tool_result", "tool_use_id": block["id"], "content": "done"})
    messages += [
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": results},
    ]
    note("tools", called_at)
    messages.append({"role": "assistant", "content": ask(messages)})
    answered_at = time.monotonic()
    time.sleep(pause_s)
    messages.append({"role": "user", "content": "And now tell me slowly."})
    note("human", answered_at)
    ask(messages, hiccup_s)
    print(json.dumps(spent))


main()
