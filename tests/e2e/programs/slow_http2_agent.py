"""A call every 100 ms on one HTTP/2 connection, each answer's token written to a file."""

import re
import sys
import time

import httpx2
from anthropic import Anthropic

http = httpx2.Client(http2=True, http1=False, timeout=60)
client = Anthropic(http_client=http)
with open(sys.argv[1], "w", buffering=1) as out:
    for number in range(int(sys.argv[2])):
        answer = client.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=100,
            system="You are a careful engineer.",
            messages=[{"role": "user", "content": f"id=slow{number}"}],
        )
        found = re.search(r"id=(\w+)|(slow\d+)", answer.content[0].text)
        out.write(f"{time.time()} {found[0] if found else None}\n")
        time.sleep(0.1)
    out.write("end\n")
