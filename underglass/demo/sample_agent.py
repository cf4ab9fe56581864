"""A small AI agent, as anyone might write one: standard library only.

    ANTHROPIC_API_KEY=... python sample_agent.py "Why does the build fail?" [MODEL]

It talks to Anthropic's Messages API (or whatever ANTHROPIC_BASE_URL names), prints the answer
as it streams, runs the shell commands that the model asks for and sends back what they print,
until the model has nothing more to ask. It trusts the authorities of SSL_CERT_FILE, if set.
It is the demo's workload and knows nothing of what watches it.
"""

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

MODEL = "claude-sonnet-4-6"
SYSTEM = (
    "You are a careful software engineer with a shell. Look before you change anything, "
    "explain each step in a sentence, and verify your work before you say that it is done."
)
BASH_TOOL = {
    "name": "bash",
    "description": "Run a shell command in the working directory and see what it prints.",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string", "description": "The command to run"}},
        "required": ["command"],
    },
}
FORBIDDEN = ("rm -rf", "mkfs", "shutdown", "curl ")
COMMAND_TIMEOUT_S = 60
MAX_TURNS = 50


class Model:
    """A connection to the Messages API, kept open between turns."""

    def __init__(self, base_url: str, api_key: str, name: str) -> None:
        url = urlsplit(base_url)
        self._name = name
        self._path = f"{url.path.rstrip('/')}/v1/messages"
        self._headers = {
            "content-type": "application/json",
            "anthropic-version": "2023-06-01",
            "user-agent": "sample-agent/1.0",
            "x-api-key": api_key,
        }
        host = url.hostname or "localhost"
        self._connection: http.client.HTTPConnection
        if url.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(host, url.port, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, url.port)

    def stream(self, messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Send the conversation; yield the events of the answer. A 429 is tried once more."""
        body = json.dumps(
            {
                "model": self._name,
                "max_tokens": 4096,
                "system": SYSTEM,
                "tools": [BASH_TOOL],
                "messages": messages,
                "stream": True,
            }
        )
        response = self._post(body)
        if response.status == 429:
            response.read()
            wait_s = float(response.getheader("retry-after") or 1)
            print(f"[rate limited: waiting {wait_s:g} s]", file=sys.stderr)
            time.sleep(wait_s)
            response = self._post(body)
        if response.status != 200:
            sys.exit(f"HTTP {response.status}: {response.read().decode(errors='replace')}")
        while line := response.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def _post(self, body: str) -> http.client.HTTPResponse:
        self._connection.request("POST", self._path, body.encode(), self._headers)
        return self._connection.getresponse()


def answer(events: Iterator[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Print an answer while it streams; return its content blocks and the stop reason."""
    blocks: list[dict[str, Any]] = []
    arguments = ""
    stop_reason = ""
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
            arguments = ""
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                print(delta["text"], end="", flush=True)
                blocks[-1]["text"] += delta["text"]
            elif delta["type"] == "thinking_delta":
                blocks[-1]["thinking"] += delta["thinking"]
            elif delta["type"] == "signature_delta":
                blocks[-1]["signature"] += delta["signature"]
            elif delta["type"] == "input_json_delta":
                arguments += delta["partial_json"]
        elif event["type"] == "content_block_stop":
            if blocks[-1]["type"] == "tool_use":
                blocks[-1]["input"] = json.loads(arguments or "{}")
        elif event["type"] == "message_delta":
            stop_reason = event["delta"]["stop_reason"]
        elif event["type"] == "error":
            sys.exit(f"error: {event['error']['message']}")
    print()
    return blocks, stop_reason


def run(block: dict[str, Any]) -> dict[str, Any]:
    """Run the command of a tool call, unless the policy forbids it; return the tool result."""
    command = block["input"].get("command", "")
    result = {"type": "tool_result", "tool_use_id": block["id"]}
    print(f"$ {command}", flush=True)
    if any(word in command for word in FORBIDDEN):
        denial = f"Permission to use bash with command {command} has been denied."
        print(f"[{denial}]", flush=True)
        return {**result, "content": denial, "is_error": True}
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return {**result, "content": f"timed out after {COMMAND_TIMEOUT_S} s", "is_error": True}
    output = done.stdout.decode(errors="replace")
    print(output, end="", flush=True)
    if done.returncode:
        output += f"\n[exit status {done.returncode}]"
    return {**result, "content": output or "(no output)", "is_error": done.returncode != 0}


def main() -> None:
    """Work on the prompt until the model ends its turn."""
    if len(sys.argv) not in (2, 3):
        sys.exit('usage: sample_agent.py "prompt" [model]')
    model = Model(
        os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
        os.environ.get("ANTHROPIC_API_KEY", ""),
        sys.argv[2] if len(sys.argv) == 3 else MODEL,
    )
    messages: list[dict[str, Any]] = [{"role": "user", "content": sys.argv[1]}]
    for _ in range(MAX_TURNS):
        blocks, stop_reason = answer(model.stream(messages))
        messages.append({"role": "assistant", "content": blocks})
        if stop_reason != "tool_use":
            return
        results = [run(block) for block in blocks if block["type"] == "tool_use"]
        messages.append({"role": "user", "content": results})
    sys.exit(f"gave up after {MAX_TURNS} turns")


if __name__ == "__main__":
    main()
