"""An agent with a search that always fails and a status that changes; logs what its tools did.

    tool_agent.py LOG ALERTS

It calls the model until that asks for no tool. Each line of LOG: tool, arguments, result,
is_error, at_ns (the wall clock at the beginning) and alerts (the lines of ALERTS at that time).
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from anthropic import Anthropic

ANY = {"type": "object", "properties": {}}
TOOLS: Any = [{"name": name, "input_schema": ANY} for name in ("search", "sleep", "status")]
log, alerts = Path(sys.argv[1]), Path(sys.argv[2])
looks = 0


def run(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
    global looks
    if name == "search":
        now = datetime.datetime.now(datetime.UTC).isoformat()
        took_ms = 40 + time.time_ns() % 7
        return (
            f"search failed at {now} after {took_ms} ms: connection refused\n"
            f"worker pid={os.getpid() + time.time_ns() % 100}, request {uuid.uuid4()}"
        ), True
    if name == "sleep":
        time.sleep(arguments["seconds"])
        return "", False
    looks += 1
    return f"{looks * 10}% of the upload is done", False


def main() -> None:
    client = Anthropic(max_retries=0)
    messages: list[Any] = [{"role": "user", "content": "What will the weather be in Oslo?"}]
    with open(log, "w", buffering=1, encoding="utf-8") as lines:
        while True:
            with client.messages.stream(
                model="claude-sonnet-4-6", max_tokens=1000, tools=TOOLS, messages=messages
            ) as stream:
                answer = stream.get_final_message()
            messages.append({"role": "assistant", "content": answer.content})
            results = []
            for block in answer.content:
                if block.type != "tool_use":
                    continue
                at_ns = time.time_ns()
                said = alerts.read_text().splitlines() if alerts.exists() else []
                result, is_error = run(block.name, dict(block.input))
                line = {"tool": block.name, "arguments": block.input, "result": result}
                line |= {"is_error": is_error, "at_ns": at_ns, "alerts": said}
                lines.write(json.dumps(line) + "\n")
                results.append(
                    {
                        "type": "tool_result",
                        "tool_use_id": block.id,
                        "content": result,
                        "is_error": is_error,
                    }
                )
            if not results:
                return
            messages.append({"role": "user", "content": results})


if __name__ == "__main__":
    main()
