"""The store while this process owns it, with what lives beside it: the analyst, the query service
and the service that other captures join.

In: rows of this capture, as `Store.merge` takes them. Out: rows stored and analysed, readers and
joiners answered. The parts begin and end in the order that is here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from analysis.runaways import RunawayLimits
    from analysis.steps import Finding
    from collector.capture_scope import CaptureScope
    from collector.join_service import JoinService
    from collector.query_service import QueryService, SocketPlace
    from underglass.peers import Peers

_ANSWERING_TIMEOUT_S = 30.0


class OwnedStore:
    """The parts of a store that is open for writing."""

    def __init__(
        self,
        path: Path,
        *,
        content: bool,
        limits: RunawayLimits,
        told: Callable[[Finding], None],
        scope: CaptureScope | None,
        peers: Peers | None,
        place: SocketPlace | None = None,
    ) -> None:
        """Open, and let others join a capture of this `scope`. Raises what `Store.open` raises."""
        from analysis.live import LiveAnalyst
        from collector.store import Store

        self._told = told
        self._place = place
        self._peers = peers
        self._queries: QueryService | None = None
        self._joins: JoinService | None = None
        joinable = scope is not None and peers is not None
        self._store = Store.open(path, content=content, joinable=joinable)
        self._analyst = LiveAnalyst(self._store, self._found, limits)
        if scope is not None and peers is not None:
            self._let_join(scope, peers, content=content)

    def _let_join(self, scope: CaptureScope, peers: Peers, *, content: bool) -> None:
        from collector.join_service import JoinService

        try:
            self._joins = JoinService(
                self._store,
                scope,
                content=content,
                leave_out=peers.leave_out,
                awaited=peers.claim,
                written=self._analyst.nudge,
            )
        except OSError as error:  # a store that nobody can join still stores
            self._store.ownership.announce_alone()
            print(f"underglass: other captures cannot join this one: {error}", file=sys.stderr)

    def merge(self, tables: Mapping[str, pa.Table], sessions: Collection[str]) -> None:
        """As `Store.merge`."""
        self._store.merge(tables, sessions)

    def analyse(self) -> None:
        """Rows were written."""
        self._analyst.nudge()

    def answer_queries(self) -> None:
        """Begin to answer readers, unless it is done already."""
        if self._queries is None:
            from collector.query_service import QueryService

            hooks: dict[str, Any] = {}
            if (peers := self._peers) is not None:
                hooks = {
                    "claim": lambda on: peers.claim(on, by="readers"),
                    "listens": peers.listens,
                }
            self._queries = QueryService(self._store, place=self._place, **hooks)
            self._queries.start()

    def wait_until_answering(self) -> str | None:
        """Wait until readers are answered; why they are not, otherwise."""
        assert self._queries is not None
        if self._queries.wait_until_ready(_ANSWERING_TIMEOUT_S):
            return None
        return self._queries.failure or "it takes too long"

    def finish(self) -> None:
        """Send the joiners away, which go on without this process, and analyse what is left."""
        others: frozenset[str] = frozenset()
        if self._joins is not None:
            others = self._joins.sessions
            self._joins.close()
            self._joins = None
        self._analyst.close(but=others)
        if self._analyst.failure is not None:
            print(f"underglass: analysis failed: {self._analyst.failure}", file=sys.stderr)

    def close(self) -> None:
        """End the services and give the store up. Needs no `finish` before."""
        if self._joins is not None:
            self._joins.close()
        self._analyst.stop()
        if self._queries is not None:
            self._queries.close()
        self._store.close()

    def _found(self, finding: Finding) -> None:
        self._told(finding)
        if self._joins is not None:
            self._joins.found(finding.session_id, asdict(finding))


def finding_of(said: Mapping[str, Any]) -> Finding:
    """A finding that the owner told a joiner. Raises `TypeError` or `KeyError` for what is none."""
    from analysis.steps import Evidence, Finding

    evidence = tuple(Evidence(**each) for each in said["evidence"])
    return Finding(**{**said, "evidence": evidence})
