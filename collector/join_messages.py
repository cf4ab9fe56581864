"""Messages between the collector that owns a store and those that have joined it.

In: a connected unix socket. Out: messages in both directions: a JSON object, and Arrow tables of
rows by table name (`collector.changed_rows`). Each is `<u32 bytes of JSON><u64 bytes of tables>`,
the JSON, and the tables as Arrow IPC streams, one behind the other.

| From the joiner | Answer of the owner |
|---|---|
| `join`: schema, scope, again, sessions | `joined`: content, captures, undone; or `refused` |
| `write`: id, sessions; tables | `written`: id; or `failed`: id, message |
| `settle`: id, seconds | `settled`: id, once its sessions were analysed or the time is over |
| `left_out`: pid | - |

| From the owner | Answer of the joiner |
|---|---|
| `leave_out`: scope | `left_out`: pid, once it is done |
| `finding`: finding | - |
"""

from __future__ import annotations

import json
import os
import socket as sockets
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

_SIZES = struct.Struct("<IQ")
MOST_HEAD_BYTES = 16 << 20
MOST_TABLE_BYTES = 2 << 30
_SEND_TIMEOUT_MS = 30_000
_PIECE_BYTES = 1 << 20
MOST_SESSIONS = 1 << 16  # of one capture, whose findings are told to it


class LineBroken(Exception):
    """The other end is gone, or does not speak this protocol."""


@dataclass(frozen=True, slots=True)
class Message:
    """`head` always has `operation`."""

    head: dict[str, Any]
    tables: dict[str, pa.Table]

    @property
    def operation(self) -> str:
        """What it is about."""
        return str(self.head["operation"])


class Line:
    """One end of a connection. `send` may be called from any thread, `receive` from one."""

    def __init__(self, socket: sockets.socket) -> None:
        self._socket = socket
        self._sending = threading.Lock()
        timeout = struct.pack("@ll", *divmod(_SEND_TIMEOUT_MS * 1000, 1_000_000))
        socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDTIMEO, timeout)

    @property
    def peer_uid(self) -> int:
        """The user at the other end."""
        credentials = self._socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, 12)
        return int(struct.unpack("3i", credentials)[1])

    def send(
        self, operation: str, tables: Mapping[str, pa.Table] | None = None, **head: object
    ) -> None:
        """Raises `LineBroken`; nothing can be sent then any more."""
        parts = [(name, _ipc(table)) for name, table in (tables or {}).items()]
        sizes = [(name, part.size) for name, part in parts]
        text = json.dumps({"operation": operation, "tables": sizes, **head}).encode()
        with self._sending:
            try:
                self._socket.sendall(_SIZES.pack(len(text), sum(size for _, size in sizes)) + text)
                for _, part in parts:
                    self._socket.sendall(part)
            except OSError as error:
                self.hang_up()
                raise LineBroken(str(error)) from error

    def receive(self) -> Message:
        """The next message. Raises `LineBroken`."""
        head_bytes, table_bytes = _SIZES.unpack(self._take(_SIZES.size))
        if head_bytes > MOST_HEAD_BYTES or table_bytes > MOST_TABLE_BYTES:
            raise LineBroken("a message is too large")
        head, body = self._take(head_bytes), self._take(table_bytes)
        try:
            said = json.loads(bytes(head))
            tables, at = {}, 0
            for name, size in said.pop("tables"):
                tables[str(name)] = pa.ipc.open_stream(body[at : at + size]).read_all()
                at += size
            said["operation"]
        except (ValueError, KeyError, TypeError, AttributeError, OSError, pa.ArrowInvalid) as error:
            raise LineBroken(f"what came is no message: {error}") from error
        return Message(said, tables)

    def _take(self, size: int) -> memoryview:
        taken = bytearray()
        while len(taken) < size:
            try:
                piece = self._socket.recv(min(size - len(taken), _PIECE_BYTES))
            except OSError as error:
                raise LineBroken(str(error)) from error
            if not piece:
                raise LineBroken("the other end is gone")
            taken += piece
        return memoryview(taken).toreadonly()

    def wait_forever(self) -> None:
        """Let `receive` take as long as it may."""
        self._socket.settimeout(None)

    def hang_up(self) -> None:
        """End the connection; a thread in `receive` is told. The socket is freed by `close`."""
        try:
            self._socket.shutdown(sockets.SHUT_RDWR)
        except OSError:
            pass  # it has ended already

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()


def may_join(uid: int, store: Path) -> bool:
    """Whether rows may pass between this process and one of user `uid`: root's, or one of the
    user who owns the store's file."""
    try:
        return uid in (0, os.stat(store).st_uid)
    except OSError:
        return False


def keep_latest(sessions: dict[str, None], new: Iterable[str]) -> None:
    """Add the ids of sessions whose rows a capture wrote; of very many the latest are kept."""
    for session_id in new:
        sessions.pop(session_id, None)
        sessions[session_id] = None
    for session_id in list(islice(sessions, max(0, len(sessions) - MOST_SESSIONS))):
        del sessions[session_id]


def _ipc(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
