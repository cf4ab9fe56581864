"""Where the rows of a capture go: the store, which this process owns or has joined.

In: batches of a capture. Out: rows that are stored, analysed, told as alerts, and answered to
readers: by this process when the store was free, else by the collector that owns it
(`collector.joined_store`). When that one ends or dies, whichever capture is first becomes the owner
and the others join it; rows that nobody acknowledged are sent again, which is without effect for
those that were stored. `watching` opens a `Keeping`, writes to it, and ends it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import UnderglassError
from underglass.alerts import Told

if TYPE_CHECKING:
    from analysis.runaways import RunawayLimits
    from collector.capture_scope import CaptureScope
    from collector.joined_store import JoinedStore
    from collector.ownership import Owner
    from collector.query_service import SocketPlace
    from collector.rows import Batch
    from collector.store_errors import StoreWriteFailed
    from underglass.on_finding import OnFinding
    from underglass.owned_store import OwnedStore
    from underglass.peers import Peers

_WRITES_BEFORE_QUERIES = 2  # then there is something to ask for, and the command has begun
_FIRST_PATIENCE_S = 20.0  # with an owner that begins or ends
_PATIENCE_S = 0.3  # a flush; meanwhile the socket and the rings take what comes
_LAST_PATIENCE_S = 30.0
_QUIET_S = 10.0  # so long nobody owns the store without a word
_SETTLE_S = 10.0
_PAUSE_S = 0.02


class Keeping:
    """The store of one capture. `content`: whether its texts are stored."""

    def __init__(
        self,
        path: Path,
        *,
        content: bool,
        limits: RunawayLimits,
        scope: CaptureScope | None = None,
        peers: Peers | None = None,
        alerts: Path | None = None,
        on_finding: OnFinding | None = None,
        place: SocketPlace | None = None,
        joins: bool = True,
    ) -> None:
        """Open the store, or join the collector that has it open, unless this one never `joins`.

        `scope`: what is watched, and `peers`: the other captures of the store; without them this
        one neither joins nor is joined. `place`: where queries are answered, if not where they
        usually are. Raises what `Store.open` and `JoinedStore` raise, and UnderglassError for
        alerts that cannot be written.
        """
        from collector.changed_rows import ChangedRows
        from collector.writer import BatchWriter

        self._path, self._scope, self._peers, self._limits = path, scope, peers, limits
        self._place = place
        self._joins = joins and scope is not None and peers is not None
        self._tells = alerts is not None or on_finding is not None
        self._told = Told(alerts, on_finding)
        self._owned: OwnedStore | None = None
        self._joined: JoinedStore | None = None
        self._store_content = content
        self._writes = 0
        self._sessions: dict[str, None] = {}  # whose rows were written
        self._without_owner_s: float | None = None  # since when
        self._open_or_join(_FIRST_PATIENCE_S, again=False)
        self.content = content and self._store_content
        self._changed = ChangedRows(content=self.content)
        self._writer = BatchWriter(self._store, self._complain)
        if self._joined is not None:
            self._say_how_joined(self._joined, wanted_content=content)

    def write(self, batch: Batch) -> None:
        """Store a batch; what cannot be stored now waits, and is said."""
        from collector.store_errors import StoreWriteFailed

        if self._peers is not None:
            self._peers.look()
        if self._owned is None and (self._joined is None or self._joined.gone):
            try:
                self._move()
            except StoreWriteFailed as error:
                self._complain(error)
        self._writer(batch)
        self._writes += 1
        if self._owned is not None:
            self._owned.analyse()
            if self._writes >= _WRITES_BEFORE_QUERIES:
                self._owned.answer_queries()

    def answer_queries(self) -> None:
        """Begin to answer readers, unless another collector does."""
        if self._owned is not None:
            self._owned.answer_queries()

    def wait_until_answering(self) -> None:
        """Until readers are answered. Raises UnderglassError when that fails."""
        failure = self._owned.wait_until_answering() if self._owned is not None else None
        if failure is not None:
            raise UnderglassError(
                f"queries cannot be answered: {failure}",
                hint="end the other collector, or name another socket with --socket PATH",
            )

    def finish(self) -> int:
        """Store and analyse what is left; the number of rows that could not be written."""
        from collector.rows import Batch

        deadline = time.monotonic() + _LAST_PATIENCE_S
        while self._writer.waiting and self._owned is None and time.monotonic() < deadline:
            self.write(Batch())
        self._writer.close()
        if self._owned is not None:
            self._owned.finish()
        elif self._joined is not None and self._tells:
            self._joined.settle(_SETTLE_S)
        return self._writer.dropped_rows

    def close(self) -> None:
        """End the services and the alerts, and give the store up. Needs no `finish` before."""
        if self._owned is not None:
            self._owned.close()
        if self._joined is not None:
            self._joined.close()
        self._told.close()
        if self._peers is not None:
            self._peers.close()

    # Owning and joining

    def _open_or_join(self, patience_s: float, *, again: bool) -> None:
        """Own the store, or join its owner. Raises as the constructor does; `StoreLocked` when
        neither is possible in time, and at once for an owner that cannot be joined, unless
        `again`."""
        from collector.joined_store import OwnerGone
        from collector.ownership import is_owned, locked
        from collector.store_errors import StoreLocked

        deadline = time.monotonic() + patience_s
        refused: StoreLocked | None = None
        while True:
            owned, owner = is_owned(self._path)
            try:
                if not owned:
                    self._own()
                    return
                if owner is not None and owner.join is not None and self._joins:
                    self._join(owner, again=again)
                    return
            except OwnerGone:
                pass  # it ended just now
            except StoreLocked as error:  # another capture was faster, or somebody reads the file
                refused = error
            never = owner is not None and not (owner.joinable and self._joins)
            if (owned and never and not again) or time.monotonic() >= deadline:
                raise refused if refused and not owned else locked(self._path, owner, writing=True)
            time.sleep(_PAUSE_S)

    def _own(self) -> None:
        from underglass.owned_store import OwnedStore

        self._owned = OwnedStore(
            self._path,
            content=self._store_content,
            limits=self._limits,
            told=self._told,
            scope=self._scope,
            peers=self._peers,
            place=self._place,
        )

    def _join(self, owner: Owner, *, again: bool) -> None:
        from collector.capture_scope import concerns
        from collector.joined_store import JoinedStore

        scope, peers = self._scope, self._peers
        assert scope is not None
        assert peers is not None
        joined = JoinedStore(
            self._path,
            owner,
            scope,
            again=again,
            leave_out=peers.leave_out,
            found=self._found,
            sessions=self._sessions,
        )
        for capture in joined.captures:
            if concerns(scope, capture):
                peers.leave_out(capture, timeout_s=0.0)
        self._joined, self._store_content = joined, joined.content

    def _move(self) -> None:
        """The owner is gone: own the store, or join the next owner. Raises `OwnerGone`."""
        from collector.joined_store import OwnerGone

        if self._joined is not None:
            self._joined.close()
            self._joined = None
            self._without_owner_s = time.monotonic()
        content = self._store_content
        try:
            self._open_or_join(_PATIENCE_S, again=True)
        except UnderglassError as error:
            raise OwnerGone(self._path, str(error)) from error
        self._without_owner_s = None
        self._store_content = content  # what was agreed on first
        self.answer_queries()

    def _store(self, batch: Batch) -> None:
        """Raises `StoreWriteFailed`."""
        from collector.join_messages import keep_latest
        from collector.joined_store import OwnerGone

        change = self._changed.of(batch)
        for last in (False, True):
            place = self._owned or self._joined
            if place is None:
                raise OwnerGone(self._path, "its owner has ended")
            try:
                place.merge(change.tables, change.sessions)
                break
            except OwnerGone:
                if last:
                    raise
                self._move()
        self._changed.stored(change)
        keep_latest(self._sessions, change.sessions)

    def _complain(self, error: StoreWriteFailed) -> None:
        """Nothing is said of the moment in which the store passes to another owner."""
        since = self._without_owner_s
        if since is not None:
            if time.monotonic() - since < _QUIET_S:
                return
            self._without_owner_s = time.monotonic()
        complain(error)

    def _found(self, said: dict[str, Any]) -> None:
        from underglass.owned_store import finding_of

        try:
            self._told(finding_of(said))
        except (TypeError, KeyError):
            pass  # an owner that speaks otherwise

    def _say_how_joined(self, joined: JoinedStore, *, wanted_content: bool) -> None:
        if wanted_content and not self.content:
            print(
                f"underglass: pid {joined.owner_pid}, which owns the store, keeps no content:"
                " neither does this capture",
                file=sys.stderr,
            )
        for pid in joined.undone:
            print(
                f"underglass: pid {pid} watches these processes, too, and is too busy to leave them"
                " out: what follows may be stored twice",
                file=sys.stderr,
            )


def complain(error: UnderglassError) -> None:
    """Say on standard error what went wrong while the capture goes on."""
    print(f"underglass: {error}; {error.hint or ''}", file=sys.stderr)
