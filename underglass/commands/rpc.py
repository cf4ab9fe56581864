"""`underglass rpc`: what agents and MCP servers said to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.rpc(reader, since_ns, session).records()


command = listing(
    "rpc",
    "List JSON-RPC messages between processes: MCP servers over stdio.",
    _rows,
    empty="no JSON-RPC messages stored",
)
