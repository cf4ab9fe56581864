"""Which session a call belongs to.

In: what the client says of itself, and the request's message list. Out: `SessionRow`s. An id on
the wire decides (`read`); else a request whose list begins with the whole list of an earlier
request of the same process continues that session (`inferred`); else a session begins. Calls
that continue nothing, such as embeddings, belong to the one conversation of their process, or
where there is none or more than one to a session of their own, one a process.

A session that an ended process left, and that another process goes on with, stays one; so does one
whose history the client replaced by a summary. A sub-agent's session names its parent: as the wire
says, else that whose tool call carried its prompt, else that of the process above.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from collector.conversations import digest
from collector.identity import Identity
from collector.rows import Batch, SessionRow
from collector.session_origins import Opening, SessionOrigins

_REMEMBERED = 100_000
_NOT_KNOWN = Opening()


class Sessions:
    """Remembers, per process, where each conversation stands."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, SessionRow] = OrderedDict()
        self._by_list: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._answered: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._by_response: OrderedDict[str, str] = OrderedDict()
        self._of_process: OrderedDict[str, str] = OrderedDict()  # "": more than one conversation
        self._by_leaf: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._openings: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self.origins = SessionOrigins()

    def family_of(self, session_id: str, pid: int) -> str:
        """The first ancestor that is known to run in the same process: the process is its own."""
        seen = {session_id}
        while (row := self._rows.get(session_id)) is not None:
            parent = self._rows.get(row.parent_session_id or "")
            if parent is None or parent.session_id in seen or parent.root_pid != pid:
                break
            seen.add(parent.session_id)
            session_id = parent.session_id
        return session_id

    def assign(
        self,
        *,
        call_id: str,
        identity: Identity,
        lineage: tuple[str, ...],
        previous_response_id: str | None,
        process_key: str,
        pid: int,
        started_ns: int,
        batch: Batch,
        conversation: bool = True,
        opening: Opening = _NOT_KNOWN,
        above: Callable[[], str | None] = lambda: None,
        ended: Callable[[str], bool] = lambda process_key: False,
    ) -> str:
        """The session's id; a new session's row goes to the batch.

        `above` tells the session of the process above that speaks to models itself, `ended`
        whether a process is known to be gone.
        """
        session_id, confidence = identity.session_id, "read"
        if session_id is not None and identity.agent_id is None:
            sub_agent = self._sub_agent(session_id, opening)
            if sub_agent is not None:
                session_id, confidence = sub_agent, "inferred"
        if session_id is None and not conversation:
            one = self._of_process.get(process_key)
            session_id = one or "s" + digest(b"no conversation", process_key.encode())[:16]
            confidence, lineage = "inferred", ()
        if session_id is None:
            session_id = (
                self._continued(lineage, previous_response_id, process_key)
                or self._resumed(lineage, process_key, ended)
                or self.origins.continued(opening, process_key)
            )
            confidence = "inferred"
        if session_id is None:
            session_id = "s" + digest(call_id.encode())[:16]
        if lineage:
            _remember(self._by_list, (process_key, lineage[-1]), session_id)
            _remember(self._by_leaf, lineage[-1], (session_id, process_key))
        if conversation:
            known = self._of_process.get(process_key, session_id)
            _remember(self._of_process, process_key, session_id if known == session_id else "")
        if session_id not in self._rows:
            parent_id, parent_source = self._parent(session_id, identity, opening, above)
            row = SessionRow(
                session_id=session_id,
                confidence=confidence,
                agent=identity.agent,
                agent_version=identity.agent_version,
                parent_session_id=parent_id,
                root_pid=pid,
                started_ns=started_ns,
                parent_source=parent_source,
            )
            batch.sessions.append(row)
            _remember(self._rows, session_id, row)
        return session_id

    def _sub_agent(self, session_id: str, opening: Opening) -> str | None:
        """The session of a sub-agent that has its parent's id on the wire, and no other.

        It opens with a prompt that a tool call of that session carried; the session itself opened
        before. Sub-agents with the same prompt are one.
        """
        if session_id not in self._openings:
            _remember(self._openings, session_id, opening.texts)
            return None
        prompted = self.origins.prompted(opening)
        if prompted is None or prompted[0].partition(":")[0] != session_id.partition(":")[0]:
            return None
        own = self.origins.prompted(Opening(self._openings[session_id]))
        return None if own == prompted else f"{session_id}:{prompted[1][:16]}"

    def _continued(
        self, lineage: tuple[str, ...], previous_response_id: str | None, process_key: str
    ) -> str | None:
        if previous_response_id is not None:
            return self._by_response.get(previous_response_id)
        for depth, node in enumerate(reversed(lineage)):
            key = (process_key, node)
            session_id = self._by_list.get(key)
            if session_id is not None:
                # The very same list again is a retry, unless it was answered already.
                if depth == 0 and key in self._answered:
                    return None
                return session_id
        return None

    def _resumed(
        self, lineage: tuple[str, ...], process_key: str, ended: Callable[[str], bool]
    ) -> str | None:
        """The session of a process that is gone, whose list this process goes on with."""
        if process_key in self._of_process:
            return None  # it goes on with its own
        for node in reversed(lineage[:-1]):
            session_id, process = self._by_leaf.get(node, (None, process_key))
            if session_id is not None and process != process_key and ended(process):
                return session_id
        return None

    def _parent(
        self,
        session_id: str,
        identity: Identity,
        opening: Opening,
        above: Callable[[], str | None],
    ) -> tuple[str | None, str | None]:
        """The session that started this one, and how that is known."""
        for found, source in (
            (identity.parent_session_id, "read"),
            (self.origins.parent(opening), "prompt"),
            (above(), "process"),
        ):
            if found is not None and found != session_id:
                return found, source
        return None, None

    def answered(
        self,
        *,
        session_id: str,
        lineage: tuple[str, ...],
        process_key: str,
        response_id: str | None,
    ) -> None:
        """A call ended well."""
        if lineage:
            _remember(self._answered, (process_key, lineage[-1]), None)
        if response_id is not None:
            _remember(self._by_response, response_id, session_id)


def _remember(known: OrderedDict[Any, Any], key: object, value: object) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
