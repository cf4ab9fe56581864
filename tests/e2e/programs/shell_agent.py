"""An agent on the standard library: asks a model, runs commands, shows it what they print.

Arguments: commands; a `?` before one keeps its output from the model.
"""

import json
import os
import subprocess
import sys
import urllib.request


def ask(messages: list[dict[str, object]]) -> None:
    body = {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": messages}
    request = urllib.request.Request(
        os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages",
        json.dumps(body).encode(),
        {
            "content-type": "application/json",
            "x-api-key": "none",
            "anthropic-version": "2023-06-01",
        },
    )
    with urllib.request.urlopen(request) as response:
        response.read()


messages: list[dict[str, object]] = [{"role": "user", "content": "id=0 look after my shop"}]
ask(messages)
for number, command in enumerate(sys.argv[1:]):
    done = subprocess.run(
        ["sh", "-c", command.removeprefix("?")], capture_output=True, text=True, check=False
    )
    tool_id = f"toolu_{number}"
    use = {"type": "tool_use", "id": tool_id, "name": "Bash", "input": {"command": command}}
    shown = "done" if command.startswith("?") else done.stdout
    result = {"type": "tool_result", "tool_use_id": tool_id, "content": shown}
    messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    ask(messages)
