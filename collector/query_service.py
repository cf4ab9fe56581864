"""Answers queries while a collector has the store open.

DuckDB lets no other process open a file that one process writes, not even for reading. In:
tickets `{"sql": ..., "parameters": ...}` over Arrow Flight on a unix socket, which
`collector.query_client` sends. Out: Arrow tables, or the query's error; nothing is written. The
socket is one that only the user may reach, in a private directory, or a `SocketPlace` that a
group may reach; it is announced in the store's lock file, where `analysis.reading` finds it. The
service lives in threads of its own and never stops the collector: what goes wrong is in
`QueryService.failure`.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket as sockets
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.attention import Attention
from collector.migrations import known_version
from collector.query_client import bell_of, knock
from collector.read_query import Limits, Parameters, read_query
from collector.store import Store
from collector.store_errors import QueryFailed, StoreError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LIMITS = Limits(max_rows=200_000, max_bytes=128 << 20, timeout_s=15.0)
MOST_AT_ONCE = 16  # each holds up to LIMITS.max_bytes
_PAUSE_S = 0.01
_BELL_BACKLOG = 16
_SOCKET_PATH_BYTES = 107  # sun_path, less its NUL


@dataclass(frozen=True, slots=True)
class SocketPlace:
    """Where a service listens that others may ask, in a directory that is there already. `gid`:
    the group that may; None: only the collector's own user."""

    path: Path
    gid: int | None = None


class QueryService:
    """The service of one store. `start` returns at once; the socket appears a moment later.

    Without a `place` the socket is at `socket_path`, for this user alone. `claim` is called with
    True when queries begin to come, and with False a while after the last one; `listens`, once,
    with the descriptor of a socket at which readers ring before they ask, for a process to hear
    that has not to wait for the processor.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits = LIMITS,
        place: SocketPlace | None = None,
        claim: Callable[[bool], None] = lambda _on: None,
        listens: Callable[[int], None] = lambda _descriptor: None,
    ) -> None:
        self._listens = listens
        self._bell: sockets.socket | None = None
        self._store = store
        self._limits = limits
        self._place = place
        self._server: Any = None
        self._socket: Path | None = None
        self._made: dict[Path, tuple[int, int] | None] = {}  # inodes of the sockets
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._closing = False
        self._attention = Attention(claim)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="query-service", daemon=True)
        self.failure: str | None = None

    def start(self) -> None:
        """Begin to listen, in a daemon thread."""
        self._thread.start()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Whether it listens; False when it failed or the time is over."""
        self._ready.wait(timeout_s)
        return self._socket is not None and self.failure is None

    @property
    def running_queries(self) -> int:
        """How many queries are under way."""
        return len(self._running)

    def close(self) -> None:
        """Stop running queries, stop listening, remove the socket; then the store may close."""
        if self._thread.ident is None:
            return
        self._thread.join()
        if self._server is not None:
            self._store.ownership.announce_socket(None)
            self._closing = True
            self._attention.close()
            while self._running:
                for cursor in tuple(self._running):
                    cursor.interrupt()  # without effect on a query that is yet to begin
                time.sleep(_PAUSE_S)
            self._server.shutdown()
            self._server = None
        for path, inode in self._made.items():
            if inode == _inode(path):  # else it is another's, or gRPC has removed it
                path.unlink(missing_ok=True)
        if self._bell is not None:
            self._bell.close()

    def answer(self, sql: str, parameters: Parameters) -> pa.Table:
        """Run one query beside the writer."""
        self._attention.asked()
        if len(self._running) >= MOST_AT_ONCE:
            raise QueryFailed(f"{MOST_AT_ONCE} queries are under way", hint="ask again in a moment")
        cursor = self._store.cursor()
        self._running.add(cursor)
        try:
            if self._closing:
                raise QueryFailed("the collector is stopping", hint="ask again in a moment")
            return read_query(cursor, sql, parameters, self._limits)
        finally:
            self._running.discard(cursor)

    def about(self) -> dict[str, Any]:
        """Who answers: see `collector.query_client.Answering`."""
        self._attention.asked()
        return {
            "pid": os.getpid(),
            "store": os.fspath(self._store.path),
            "schema": known_version(),
        }

    def _listen(self) -> None:
        try:
            place = self._place or SocketPlace(socket_path(self._store.path))
            socket = place.path
            _remove_left_behind(socket)
            self._server = _flight_server(socket, self.answer, self.about)
            if place.gid is not None:
                os.chown(socket, -1, place.gid)
            os.chmod(socket, 0o600 if place.gid is None else 0o660)
            self._socket = socket
            self._bell = _hang_bell(bell_of(socket), place.gid)
            if self._bell is not None:
                self._listens(self._bell.fileno())
            self._made = {each: _inode(each) for each in (socket, bell_of(socket))}
            self._store.ownership.announce_socket(str(socket))
        except Exception as error:  # a collector without queries still collects
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _hang_bell(path: Path, gid: int | None) -> sockets.socket | None:
    """The socket that readers ring before they ask; None when it cannot be made."""
    bell = sockets.socket(sockets.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        bell.bind(os.fspath(path))
        if gid is not None:
            os.chown(path, -1, gid)
        os.chmod(path, 0o600 if gid is None else 0o660)
        bell.listen(_BELL_BACKLOG)
    except OSError:
        bell.close()
        return None
    return bell


def _remove_left_behind(socket: Path) -> None:
    """Make room for a socket. `FileExistsError` when somebody listens there, or it is a file."""
    if not socket.is_socket():
        if socket.exists():
            raise FileExistsError(f"{socket} is no socket")
        return
    try:
        knock(str(socket))
    except (FileNotFoundError, ConnectionRefusedError):
        socket.unlink(missing_ok=True)
        return
    except OSError:
        pass  # it is busy, or another's
    raise FileExistsError(f"another collector answers at {socket}")


def _flight_server(
    socket: Path,
    answer: Callable[[str, Parameters], pa.Table],
    about: Callable[[], dict[str, Any]],
) -> Any:
    """A Flight server that listens on `socket`, in threads of its own.

    It listens once it is made. Its `serve` is not called: that only waits, and takes the
    process's handlers for SIGINT and SIGTERM away.
    """
    from pyarrow import flight

    class Server(flight.FlightServerBase):  # type: ignore[misc]
        def do_get(self, context: Any, ticket: Any) -> Any:
            try:
                asked = json.loads(ticket.ticket)
                sql, parameters = str(asked["sql"]), asked.get("parameters")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise flight.FlightServerError("the ticket is not a query") from error
            try:
                table = answer(sql, parameters)
            except StoreError as error:
                said = {"message": str(error), "hint": error.hint}
                raise flight.FlightServerError("refused", json.dumps(said).encode()) from error
            return flight.RecordBatchStream(table)

        def do_action(self, context: Any, action: Any) -> Any:
            if action.type != "about":
                raise flight.FlightServerError("there is one action: about")
            return [json.dumps(about()).encode()]

    return Server(f"grpc+unix://{socket}")


def socket_path(store_path: Path) -> Path:
    """Where the store's socket goes: a directory that only this user may enter.

    Short enough for a unix socket whatever the store's path is. Raises `PermissionError` when
    the directory belongs to somebody else.
    """
    name = hashlib.sha256(os.fsencode(store_path)).hexdigest()[:16] + ".sock"
    uid = os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [Path(f"/tmp/underglass-{uid}")]
    if os.path.isabs(runtime) and len(os.fsencode(f"{runtime}/underglass/{name}")) <= (
        _SOCKET_PATH_BYTES
    ):
        places.insert(0, Path(runtime) / "underglass")
    refusal: OSError | None = None
    for place in places:
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            found = place.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077:
                return place / name
            refusal = PermissionError(f"{place} is not a private directory of uid {uid}")
        except OSError as error:
            refusal = error
    raise refusal or PermissionError("no place for a socket")
