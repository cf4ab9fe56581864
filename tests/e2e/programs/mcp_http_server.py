"""An MCP server over HTTP, made with the official SDK. Arguments: mode, ledger, certificate.

Modes: stream, json (answers as JSON), stateless, sse (HTTP+SSE).
"""

import sys
from typing import Annotated

from http_ledger import listen, serve
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

server = MCPServer("calculator", version="3.1")


class Name(BaseModel):
    name: str


async def who() -> Elicit[Name]:
    return Elicit("Who are you?", Name)


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
def fail(why: str) -> str:
    raise ValueError(why)


@server.tool()
async def count(to: int, ctx: Context) -> str:
    for number in range(to):
        await ctx.report_progress(number + 1, to)
    return "x" * 100_000


@server.tool()
async def greet(name: Annotated[Name, Resolve(who)]) -> str:
    return f"hello {name.name}"


if __name__ == "__main__":
    mode, ledger, *certificate = sys.argv[1:]
    if mode == "sse":
        app = server.sse_app()
    else:
        app = server.streamable_http_app(
            json_response=mode == "json", stateless_http=mode == "stateless"
        )
    serve(app, ledger, listen()[0], *certificate)
