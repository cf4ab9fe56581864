"""Takes the rows of other captures while this process owns the store.

In: connections of `collector.joined_store`, over a unix socket that only the user may reach and
that the store's lock file announces. Out: their rows in the store, each batch in one transaction
and acknowledged when it is durable; for every capture, which processes it leaves to another; for a
joiner, what analysis finds in its sessions. A thread waits for connections, and each has one.
"""

from __future__ import annotations

import os
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.capture_scope import CaptureScope, concerns, refuse_overlap
from collector.join_messages import Line, LineBroken, Message, keep_latest, may_join
from collector.migrations import known_version
from collector.query_service import socket_path
from collector.rows import RunningAnswerRow
from collector.store import Store
from collector.store_errors import StoreError, StoreWriteFailed
from collector.tables import TABLES

LEAVE_OUT_TIMEOUT_S = 5.0
_BACKLOG = 128
_PAUSE_S = 0.02
_RUNNING = next(table for table in TABLES if table.row_type is RunningAnswerRow)


class JoinService:
    """The service of one owned store.

    `leave_out` takes a capture's processes out of this one's scope and says whether that is done;
    `written` is called after each batch of a joiner, `awaited` when joiners begin to wait for this
    process and when none does any more. All are called in threads of the service.
    """

    def __init__(
        self,
        store: Store,
        own: CaptureScope,
        *,
        content: bool,
        leave_out: Callable[[CaptureScope], bool],
        written: Callable[[], None],
        awaited: Callable[[bool], None],
    ) -> None:
        """Listen. `content`: whether the store takes any. Raises OSError."""
        self._store = store
        self._own = own
        self._content = content
        self._leave_out = leave_out
        self._written = written
        self._awaited = awaited
        self._waiting = 0
        self._counting = threading.Lock()
        self._joiners: dict[int, _Joiner] = {}
        self._lock = threading.Lock()  # of the joiners
        self._joining = threading.Lock()  # one at a time: each learns of all others
        self._closing = False
        self._path = join_path(store.path)
        self._path.unlink(missing_ok=True)  # left by an owner that was killed
        self._socket = sockets.socket(sockets.AF_UNIX)
        self._socket.bind(os.fspath(self._path))
        os.chmod(self._path, 0o600)
        self._socket.listen(_BACKLOG)
        self._thread = threading.Thread(target=self._listen, name="join-service", daemon=True)
        self._thread.start()
        store.ownership.announce_join(os.fspath(self._path))

    @property
    def joined(self) -> int:
        """How many captures have joined."""
        return len(self._joiners)

    @property
    def sessions(self) -> frozenset[str]:
        """Whose rows the captures wrote that have joined."""
        return frozenset(one for joiner in self._all() for one in list(joiner.sessions))

    def found(self, session_id: str | None, finding: dict[str, Any]) -> None:
        """Tell the captures whose session it is of a finding, a JSON object."""
        for joiner in self._all():
            if session_id in joiner.sessions:
                try:
                    joiner.line.send("finding", finding=finding)
                except LineBroken:
                    pass  # its own thread sees to that

    def close(self) -> None:
        """End the connections. A batch that is being written is acknowledged first."""
        self._store.ownership.announce_join(None)
        self._closing = True
        try:
            self._socket.shutdown(sockets.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join()
        self._socket.close()
        self._path.unlink(missing_ok=True)
        for joiner in self._all():
            with joiner.busy:
                joiner.line.hang_up()
        for joiner in self._all():
            joiner.thread.join()

    def _all(self) -> list[_Joiner]:
        with self._lock:
            return list(self._joiners.values())

    def _listen(self) -> None:
        while not self._closing:
            try:
                connected, _ = self._socket.accept()
            except OSError:
                if self._closing:
                    return
                time.sleep(_PAUSE_S)  # out of descriptors, say
                continue
            joiner = _Joiner(Line(connected))
            joiner.thread = threading.Thread(target=self._serve, args=(joiner,), daemon=True)
            with self._lock:
                self._joiners[id(joiner)] = joiner
            joiner.thread.start()

    def _serve(self, joiner: _Joiner) -> None:
        try:
            if not self._admit(joiner, joiner.line.receive()):
                return
            while not self._closing:
                message = joiner.line.receive()
                with joiner.busy, self._somebody_waits():
                    self._obey(joiner, message)
        except LineBroken:
            pass
        finally:
            self._forget_running(joiner)
            with self._lock:
                del self._joiners[id(joiner)]
            joiner.line.hang_up()
            joiner.line.close()

    # Joining

    def _admit(self, joiner: _Joiner, message: Message) -> bool:
        try:
            if not may_join(joiner.line.peer_uid, self._store.path):
                raise StoreError(
                    f"the store {self._store.path} belongs to another user",
                    hint="run as that user, or record into another store with `--db OTHER`",
                )
            scope = self._joining_scope(message)
            with self._joining:
                others = [one for one in self._all() if one.scope is not None]
                known = [self._own, *(one.scope for one in others if one.scope is not None)]
                if not message.head.get("again"):
                    for one in known:
                        refuse_overlap(scope, one)
                undone = self._left_by_all(scope, others)
                joiner.scope = scope
                joiner.remember([str(one) for one in message.head.get("sessions", ())])
                joiner.line.send(
                    "joined",
                    content=self._content,
                    captures=[one.as_json() for one in known],
                    undone=undone,
                )
            return True
        except StoreError as error:
            kind, code = type(error).__name__, error.exit_code
            joiner.line.send("refused", message=str(error), hint=error.hint, kind=kind, code=code)
            return False

    def _joining_scope(self, message: Message) -> CaptureScope:
        head = message.head
        theirs, ours = head.get("schema"), known_version()
        if message.operation != "join" or theirs != ours:
            older = isinstance(theirs, int) and theirs < ours
            raise StoreError(
                f"pid {os.getpid()}, which owns the store {self._store.path}, is an underglass with"
                f" schema version {ours}; this one has {theirs}",
                hint="upgrade this underglass, or record into another store with `--db OTHER`"
                if older
                else f"end the owner with `kill -INT {os.getpid()}` and start it in this version",
            )
        try:
            return CaptureScope.of_json(head.get("scope"))
        except ValueError as error:
            raise StoreError(str(error), hint="upgrade underglass") from error

    def _left_by_all(self, scope: CaptureScope, others: list[_Joiner]) -> list[int]:
        """Have everyone whom it concerns leave a capture's processes out; who could not in time."""
        waiting = [one for one in others if one.scope is not None and concerns(one.scope, scope)]
        deadline = time.monotonic() + LEAVE_OUT_TIMEOUT_S
        for one in waiting:
            one.asked_of = scope.pid
            one.left_out.clear()
            try:
                one.line.send("leave_out", scope=scope.as_json())
            except LineBroken:
                one.left_out.set()
        undone = []
        if concerns(self._own, scope) and not self._leave_out(scope):
            undone.append(self._own.pid)
        for one in waiting:
            if not one.left_out.wait(max(0.0, deadline - time.monotonic())):
                assert one.scope is not None
                undone.append(one.scope.pid)
        return undone

    # Serving

    @contextmanager
    def _somebody_waits(self) -> Iterator[None]:
        self._count_waiting(1)
        try:
            yield
        finally:
            self._count_waiting(-1)

    def _count_waiting(self, change: int) -> None:
        with self._counting:
            before, self._waiting = self._waiting, self._waiting + change
            if bool(before) != bool(self._waiting):
                self._awaited(self._waiting > 0)

    def _obey(self, joiner: _Joiner, message: Message) -> None:
        head = message.head
        if message.operation == "write":
            sessions = [str(one) for one in head.get("sessions", ())]
            try:
                self._store.merge(message.tables, sessions)
            except (StoreWriteFailed, ValueError) as error:
                why = error.why if isinstance(error, StoreWriteFailed) else str(error)
                joiner.line.send("failed", id=head.get("id"), message=why)
                return
            joiner.wrote(message.tables, sessions)
            joiner.line.send("written", id=head.get("id"))
            self._written()
        elif message.operation == "left_out":
            if head.get("pid") == joiner.asked_of:
                joiner.left_out.set()
        elif message.operation == "settle":
            self._settle(joiner, float(head.get("seconds", 0)))
            joiner.line.send("settled", id=head.get("id"))

    def _settle(self, joiner: _Joiner, seconds: float) -> None:
        """Wait until its sessions are analysed."""
        deadline = time.monotonic() + min(seconds, 60.0)
        while time.monotonic() < deadline and not self._closing:
            if joiner.sessions.keys().isdisjoint(self._store.stale_sessions()):
                return
            self._written()
            time.sleep(_PAUSE_S)

    def _forget_running(self, joiner: _Joiner) -> None:
        """What calls of a capture that was killed have said does not go on."""
        if not joiner.running or self._closing:
            return
        now_ns = time.time_ns()
        gone = [RunningAnswerRow(one, None, None, now_ns) for one in sorted(joiner.running)]
        try:
            self._store.merge({_RUNNING.name: _RUNNING.arrow(gone, content=True)}, ())
        except StoreError:
            pass  # the next owner empties the table


class _Joiner:
    """A connection, and what is known of the capture at its other end."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.scope: CaptureScope | None = None
        self.sessions: dict[str, None] = {}
        self.running: set[str] = set()
        self.asked_of = 0  # the pid of the capture that it is to leave out
        self.left_out = threading.Event()
        self.busy = threading.Lock()
        self.thread: threading.Thread

    def wrote(self, tables: dict[str, pa.Table], sessions: list[str]) -> None:
        """Remember what came."""
        self.remember(sessions)
        running = tables.get(_RUNNING.name)
        if running is not None:
            said = pc.is_valid(running.column("body"))
            self.running -= set(running.column("call_id").to_pylist())
            self.running |= set(running.filter(said).column("call_id").to_pylist())

    def remember(self, sessions: list[str]) -> None:
        """Sessions whose rows it wrote."""
        keep_latest(self.sessions, sessions)


def join_path(store: Path) -> Path:
    """Where captures join: beside the query socket, in a directory of this user alone."""
    return socket_path(store).with_suffix(".join")
