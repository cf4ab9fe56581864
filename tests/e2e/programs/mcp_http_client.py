"""An MCP client made with the official SDK. Arguments: URL, how to agree on a version, what to do.

It prints what its session returned, as JSON: a list of [what was asked, outcome].
"""

import asyncio
import json
import sys

from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp_types import ElicitResult, Implementation


async def answer(context, params):
    return ElicitResult(action="accept", content={"name": "Ada"})


async def progress(done, total, message):
    pass


async def main(url, mode, *wanted):
    outcomes = []

    def note(asked, result):
        outcomes.append([asked, result.model_dump(by_alias=True, mode="json", exclude_none=True)])

    target = sse_client(url) if url.endswith("/sse") else url
    client = Client(
        target,
        mode=mode,
        elicitation_callback=answer,
        client_info=Implementation(name="crab", version="1.2"),
    )
    async with client:
        for _ in range(3):
            note("tools/list", await client.list_tools(cache_mode="bypass"))
            note("add", await client.call_tool("add", {"a": 1, "b": 2}))
            note("fail", await client.call_tool("fail", {"why": "on purpose"}))
            note("count", await client.call_tool("count", {"to": 3}, progress_callback=progress))
            if "ask" in wanted:
                note("greet", await client.call_tool("greet", {}))
            try:
                await client.read_resource("file:///nothing")
            except MCPError as error:
                outcomes.append(["resources/read", {"code": error.code, "message": str(error)}])
    print(json.dumps(outcomes))


asyncio.run(main(*sys.argv[1:]))
