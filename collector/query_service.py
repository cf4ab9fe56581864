"""Answers queries while a collector has the store open.

DuckDB lets no other process open a file that one process writes, not even for reading. In:
tickets `{"sql": ..., "parameters": ...}` over Arrow Flight on a unix socket that only the user
may reach. Out: Arrow tables, or the query's error. The socket lies in a private directory and
is announced in the store's lock file, where `analysis.reading` finds it. The service lives in
threads of its own and never stops the collector: what goes wrong is in `QueryService.failure`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.read_query import Limits, Parameters, read_query
from collector.store import Store
from collector.store_errors import QueryFailed, StoreError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LIMITS = Limits(max_rows=200_000, max_bytes=128 << 20, timeout_s=15.0)
_PAUSE_S = 0.01
_SOCKET_PATH_BYTES = 107  # sun_path, less its NUL


class QueryService:
    """The service of one store. `start` returns at once; the socket appears a moment later."""

    def __init__(self, store: Store, limits: Limits = LIMITS) -> None:
        self._store = store
        self._limits = limits
        self._server: Any = None
        self._socket: Path | None = None
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._closing = False
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
            while self._running:
                for cursor in tuple(self._running):
                    cursor.interrupt()  # without effect on a query that is yet to begin
                time.sleep(_PAUSE_S)
            self._server.shutdown()
            self._server = None
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    def answer(self, sql: str, parameters: Parameters) -> pa.Table:
        """Run one query beside the writer."""
        cursor = self._store.cursor()
        self._running.add(cursor)
        try:
            if self._closing:
                raise QueryFailed("the collector is stopping", hint="ask again in a moment")
            return read_query(cursor, sql, parameters, self._limits)
        finally:
            self._running.discard(cursor)

    def _listen(self) -> None:
        try:
            socket = socket_path(self._store.path)
            socket.unlink(missing_ok=True)
            self._server = _flight_server(socket, self.answer)
            os.chmod(socket, 0o600)
            self._socket = socket
            self._store.ownership.announce_socket(str(socket))
        except Exception as error:  # a collector without queries still collects
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()


def _flight_server(socket: Path, answer: Callable[[str, Parameters], pa.Table]) -> Any:
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

    return Server(f"grpc+unix://{socket}")


def ask(socket: str, sql: str, parameters: Parameters, timeout_s: float) -> pa.Table:
    """Put one query to the service. `QueryFailed` when refused, `OSError` when nobody answers."""
    from pyarrow import flight

    ticket = flight.Ticket(json.dumps({"sql": sql, "parameters": parameters}).encode())
    try:
        with flight.connect(f"grpc+unix://{socket}") as client:
            options = flight.FlightCallOptions(timeout=timeout_s)
            return client.do_get(ticket, options).read_all()
    except flight.FlightServerError as error:
        said = json.loads(error.extra_info or b"{}")
        raise QueryFailed(said.get("message", str(error)), hint=said.get("hint")) from error
    except (flight.FlightError, OSError) as error:
        raise ConnectionError(str(error).partition("\n")[0]) from error


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
