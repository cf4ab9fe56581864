"""The work that the overhead benchmark measures: streamed calls on one keep-alive connection.

Prints one JSON object: wall and CPU seconds of the loop, and each call's milliseconds.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import time
from urllib.parse import urlsplit


def main() -> None:
    url = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
    context = ssl.create_default_context()
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=context)
    body = json.dumps(
        {
            "model": "claude-sonnet-4-6",
            "max_tokens": 100,
            "stream": True,
            "messages": [{"role": "user", "content": "Tell me a story."}],
        }
    )
    headers = {"content-type": "application/json", "x-api-key": os.environ["ANTHROPIC_API_KEY"]}

    def call() -> int:
        connection.request("POST", "/v1/messages", body, headers)
        response = connection.getresponse()
        events = 0
        for line in response:
            events += line.startswith(b"data:")
        return events

    call()  # connects
    calls_ms = []
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(int(sys.argv[1])):
        started = time.perf_counter()
        if call() < 10:
            sys.exit("an answer was not a stream")
        calls_ms.append((time.perf_counter() - started) * 1000)
    print(
        json.dumps(
            {
                "wall_s": time.perf_counter() - wall,
                "cpu_s": time.process_time() - cpu,
                "calls_ms": calls_ms,
            }
        )
    )


main()
