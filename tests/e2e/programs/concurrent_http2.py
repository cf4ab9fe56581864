"""N streamed calls at once over one HTTP/2 connection, after one that opens it.

Prints one line a call: the token that was sent and the token that came back.
"""

import asyncio
import re
import sys

import httpx2
from anthropic import AsyncAnthropic

TOKEN = re.compile(r"id=(\w+)")


async def anthropic_call(client: AsyncAnthropic, token: str) -> None:
    async with client.messages.stream(
        model="claude-sonnet-4-6",
        max_tokens=100,
        messages=[{"role": "user", "content": f"id={token}"}],
    ) as stream:
        text = await stream.get_final_text()
    found = TOKEN.search(text)
    print(token, found[1] if found else None)


async def main() -> None:
    count = int(sys.argv[1])
    limits = httpx2.Limits(max_connections=1)
    async with httpx2.AsyncClient(http2=True, http1=False, limits=limits, timeout=60) as http:
        client = AsyncAnthropic(http_client=http)
        await anthropic_call(client, "first")
        await asyncio.gather(*(anthropic_call(client, f"t{n}") for n in range(count)))


asyncio.run(main())
