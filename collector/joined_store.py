"""A store that another collector owns, which takes this capture's rows.

In: `Store.merge`'s arguments. Out: the same effect, once the owner has acknowledged it. What the
owner asks in between is answered here: processes of other captures to leave out, findings of this
one's sessions. When the owner ends or dies, `gone` says so and rows are refused with `OwnerGone`:
whoever writes then becomes the owner, or joins another (`underglass.keeping`).
"""

from __future__ import annotations

import queue
import socket as sockets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.capture_scope import CaptureScope, WatchedAlready
from collector.join_messages import Line, LineBroken, Message, may_join
from collector.migrations import known_version
from collector.ownership import Owner
from collector.store_errors import StoreError, StoreWriteFailed

_JOIN_TIMEOUT_S = 20.0
_ANSWER_TIMEOUT_S = 30.0


class OwnerGone(StoreWriteFailed):
    """The collector that owned the store is no longer there; the rows are not known to be kept."""


class JoinRefused(StoreError):
    """The owner does not take this capture's rows."""


class JoinedStore:
    """A connection to the owner. `merge`, `settle` and `close` are called from one thread.

    `content`: whether the owner stores any. `captures`: all that it knows, itself first. `undone`:
    pids of collectors that did not leave this capture's processes out in time.
    """

    def __init__(
        self,
        path: Path,
        owner: Owner,
        scope: CaptureScope,
        *,
        again: bool,
        leave_out: Callable[[CaptureScope], bool],
        found: Callable[[dict[str, Any]], None],
        sessions: Collection[str] = (),
    ) -> None:
        """Join. `again`: another owner had admitted this capture, and took rows of `sessions`.
        `leave_out` and `found` are called in threads of their own.

        Raises `OwnerGone`, `JoinRefused`, and `WatchedAlready` when this capture would see what
        another one sees.
        """
        self.path = path
        self._owner = owner
        self._leave_out = leave_out
        self._found = found
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._gone = threading.Event()
        self._number = 0
        self._line = Line(self._connect())
        try:
            said = self._ask_to_join(scope, again=again, sessions=list(sessions))
            self.content = said["content"] is True
            self.captures = tuple(CaptureScope.of_json(one) for one in said["captures"])
            self.undone = tuple(int(pid) for pid in said["undone"])
        except (LineBroken, KeyError, TypeError, ValueError) as error:
            self._line.close()
            raise self._owner_gone() from error
        except StoreError:
            self._line.close()
            raise
        self._thread = threading.Thread(target=self._listen, name="joined-store", daemon=True)
        self._thread.start()

    def _connect(self) -> sockets.socket:
        socket = sockets.socket(sockets.AF_UNIX)
        try:
            socket.settimeout(_JOIN_TIMEOUT_S)
            socket.connect(str(self._owner.join))
        except PermissionError as error:
            socket.close()
            raise JoinRefused(
                f"the store {self.path} is in use by {self._owner} of another user",
                hint="run as that user, or record into another store with `--db OTHER`",
            ) from error
        except OSError as error:
            socket.close()
            raise self._owner_gone() from error
        return socket

    def _ask_to_join(self, scope: CaptureScope, **head: Any) -> dict[str, Any]:
        if not may_join(self._line.peer_uid, self.path):
            raise JoinRefused(
                f"the store {self.path} is in use by {self._owner}, which runs as another user",
                hint="record into another store with `--db OTHER`",
            )
        self._line.send("join", schema=known_version(), scope=scope.as_json(), **head)
        answer = self._line.receive()
        if answer.operation == "refused":
            refusal = WatchedAlready if answer.head["kind"] == "WatchedAlready" else JoinRefused
            raise refusal(str(answer.head["message"]), hint=answer.head["hint"])
        self._line.wait_forever()
        return answer.head

    @property
    def owner_pid(self) -> int:
        """Of the collector that owns the store."""
        return self._owner.pid

    @property
    def gone(self) -> bool:
        """Whether the owner has ended, or the connection has."""
        return self._gone.is_set()

    def merge(self, tables: Mapping[str, pa.Table], sessions: Collection[str]) -> None:
        """As `Store.merge`, through the owner: returns when it is durable.

        Raises `OwnerGone`, after which the rows may be stored or not, and `StoreWriteFailed`.
        """
        if self.gone:
            raise self._owner_gone()
        if not tables and not sessions:
            return
        answer = self._ask("write", tables, sessions=sorted(sessions))
        if answer is None:
            raise StoreWriteFailed(self.path, f"pid {self.owner_pid} does not answer")
        if answer.operation != "written":
            raise StoreWriteFailed(self.path, str(answer.head.get("message")))

    def settle(self, seconds: float) -> None:
        """Wait, but no longer than that, until this capture's sessions were analysed."""
        try:
            self._ask("settle", {}, timeout_s=seconds + 1.0, seconds=seconds)
        except OwnerGone:
            pass

    def close(self) -> None:
        """Leave."""
        self._line.hang_up()
        self._thread.join()
        self._line.close()

    def _ask(
        self,
        operation: str,
        tables: Mapping[str, pa.Table],
        timeout_s: float | None = None,
        **head: object,
    ) -> Message | None:
        """The answer; None when there is none in time."""
        self._number += 1
        try:
            self._line.send(operation, tables, id=self._number, **head)
        except LineBroken as error:
            raise self._owner_gone() from error
        deadline = time.monotonic() + (timeout_s or _ANSWER_TIMEOUT_S)
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if answer is None:
                raise self._owner_gone()
            if answer.head.get("id") == self._number:  # an older one came too late
                return answer

    def _listen(self) -> None:
        try:
            while True:
                message = self._line.receive()
                if message.operation == "leave_out":
                    scope = CaptureScope.of_json(message.head.get("scope"))
                    threading.Thread(target=self._leave, args=(scope,), daemon=True).start()
                elif message.operation == "finding":
                    self._found(message.head["finding"])
                else:
                    self._answers.put(message)
        except (LineBroken, ValueError, KeyError):
            self._line.hang_up()
        finally:
            self._gone.set()
            self._answers.put(None)

    def _leave(self, scope: CaptureScope) -> None:
        try:
            if self._leave_out(scope):
                self._line.send("left_out", pid=scope.pid)
        except LineBroken:
            pass  # the next owner tells of that capture again

    def _owner_gone(self) -> OwnerGone:
        return OwnerGone(self.path, f"its owner, {self._owner}, has ended")
