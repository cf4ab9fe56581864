"""N streamed calls at once from one process, twice, so that connections are used again.

Prints one line a call: the token that was sent and the token that came back.
"""

import asyncio
import re
import sys

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

TOKEN = re.compile(r"id=(\w+)")


async def openai_call(client: AsyncOpenAI, token: str) -> None:
    text = ""
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": f"id={token}"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
    found = TOKEN.search(text)
    print(token, found[1] if found else None)


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
    async with AsyncOpenAI() as openai, AsyncAnthropic() as anthropic:
        for turn in range(2):
            await asyncio.gather(
                *(openai_call(openai, f"o{turn}x{n}") for n in range(count // 4)),
                *(anthropic_call(anthropic, f"a{turn}x{n}") for n in range(count // 4)),
            )


asyncio.run(main())
