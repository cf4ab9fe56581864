"""A set of sessions, as the user names it.

In: the text of one operand of `underglass compare`, or SQL. Out: the ids of the sessions, by one
query. Terms are separated by commas:

    3f2a91                  sessions whose id begins so
    agent=NAME              by agent, agent version, or a model that answered a call of theirs
    version=V, model=NAME   (`*` stands for any text)
    SINCE..UNTIL            begun at SINCE or later and before UNTIL; either may be left out
    main                    sessions that are no sub-agents
    all                     every session

Terms of one kind widen the set, terms of different kinds narrow it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.reading import Reader
from analysis.since import parse_since
from probes.errors import UnderglassError

_BY_NAME = ("agent", "version", "model")
_GRAMMAR = (
    "write session ids or their beginnings, agent=NAME, version=V, model=NAME, SINCE..UNTIL, "
    "main or all, separated by commas"
)
_SELECT = """
SELECT session_id FROM session
WHERE ($ids::TEXT[] IS NULL OR list_any_value([each FOR each IN $ids::TEXT[]
        IF starts_with(session.session_id, each)]) IS NOT NULL)
  AND ($agents::TEXT[] IS NULL OR list_any_value([each FOR each IN $agents::TEXT[]
        IF session.agent GLOB each]) IS NOT NULL)
  AND ($versions::TEXT[] IS NULL OR list_any_value([each FOR each IN $versions::TEXT[]
        IF session.agent_version GLOB each]) IS NOT NULL)
  AND ($times::BIGINT[][] IS NULL OR list_any_value([each FOR each IN $times::BIGINT[][]
        IF (each[1] IS NULL OR session.started_ns >= each[1])
        AND (each[2] IS NULL OR session.started_ns < each[2])]) IS NOT NULL)
  AND (NOT $only_main OR session.parent_session_id IS NULL)
"""
_BY_MODEL = """
  AND session_id IN (
    SELECT DISTINCT session_id FROM llm_call JOIN (
        SELECT named FROM (SELECT DISTINCT coalesce(model, request_model) AS named FROM llm_call)
        WHERE list_any_value([each FOR each IN $models::TEXT[] IF named GLOB each]) IS NOT NULL
    ) AS wanted ON coalesce(llm_call.model, llm_call.request_model) = wanted.named
  )
"""


@dataclass(slots=True)
class SessionSet:
    """The terms of a set. A kind without terms does not narrow it. Times: (since, until) in ns."""

    text: str
    ids: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    times: list[tuple[int | None, int | None]] = field(default_factory=list)
    only_main: bool = False
    where: str | None = None  # SQL on the view `sessions`, in place of all terms

    def session_ids(self, reader: Reader) -> list[str]:
        """The ids, sorted. Raises `UnderglassError` when there is none, `QueryFailed` on bad
        SQL."""
        if self.where is not None:
            rows = reader.rows(f"SELECT session_id FROM sessions WHERE ({self.where}\n)")
        else:
            asked = {
                "ids": self.ids or None,
                "agents": self.agents or None,
                "versions": self.versions or None,
                "times": [list(pair) for pair in self.times] or None,
                "only_main": self.only_main,
            }
            by_model = {"models": self.models} if self.models else {}
            rows = reader.rows(_SELECT + (_BY_MODEL if by_model else ""), {**asked, **by_model})
        found = sorted({row[0] for row in rows})
        if not found:
            raise UnderglassError(
                f"no session in the set {self.text}",
                hint="`underglass sessions` lists the sessions; " + _GRAMMAR,
            )
        return found


def parse_set(text: str, now_ns: int) -> SessionSet:
    """The set that the text names. Raises `UnderglassError` with exit code 2."""
    found = SessionSet(text)
    terms = [term.strip() for term in text.split(",")]
    if not all(terms):
        raise UnderglassError(f"an empty term in {text!r}", hint=_GRAMMAR, exit_code=2)
    for term in terms:
        name, sign, value = term.partition("=")
        if sign:
            if name not in _BY_NAME or not value:
                raise UnderglassError(f"not a term: {term!r}", hint=_GRAMMAR, exit_code=2)
            lists = {"agent": found.agents, "version": found.versions, "model": found.models}
            lists[name].append(value)
        elif ".." in term:
            since, _, until = term.partition("..")
            found.times.append(
                (
                    parse_since(since, now_ns) if since.strip() else None,
                    parse_since(until, now_ns) if until.strip() else None,
                )
            )
        elif term == "main":
            found.only_main = True
        elif term != "all":
            found.ids.append(term)
    return found


def sql_set(where: str) -> SessionSet:
    """The sessions of which a condition on the view `sessions` is true."""
    return SessionSet(f"where {where}", where=where)
