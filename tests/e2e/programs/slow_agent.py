"""A call every 200 ms, each answer's token written to a file; says when each call is done."""

import re
import sys
import time

from anthropic import Anthropic

client = Anthropic()
with open(sys.argv[1], "w", buffering=1) as out:
    for number in range(int(sys.argv[2])):
        answer = client.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=100,
            messages=[{"role": "user", "content": f"id=slow{number}"}],
        )
        found = re.search(r"id=(\w+)|(slow\d+)", answer.content[0].text)
        out.write(f"{time.time()} {found[0] if found else None}\n")
        time.sleep(0.2)
    out.write("end\n")
