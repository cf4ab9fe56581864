"""Where a session that begins came from, where the wire does not say it.

In: what models ask tools to do and what they answer; how a new conversation opens. Out: the session
that it belongs to. A sub-agent's first user text is the prompt that its parent's tool call carried.
A conversation that opens with a whole earlier answer of the same process, under the same system
prompt and with the same tools, goes on with that answer's session: the client has put a summary in
the place of the history. Only hashes and short openings are held, of the latest only.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from collector.conversations import digest
from collector.llm.model import Json

PROMPT_CHARS = 24
"""Shorter arguments are no prompts: `ls` may well be somebody's first word."""
SUMMARY_CHARS = 200
_OPENING_CHARS = 160
_REMEMBERED_PROMPTS = 20_000
_REMEMBERED_PROCESSES = 2_000
_ANSWERS = 8  # long ones of one process
_OPENING_MESSAGES = 4
_TEXTS = 32


@dataclass(frozen=True, slots=True)
class Opening:
    """How a request begins. `texts`: user texts of its first messages; hashes of the rest."""

    texts: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    tool_set: str | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    session_id: str
    opening: str
    system: tuple[str, ...]
    tool_set: str | None


class SessionOrigins:
    """Remembers prompts and answers, bounded."""

    def __init__(self) -> None:
        self._prompts: OrderedDict[str, str] = OrderedDict()
        self._answers: OrderedDict[str, deque[_Answer]] = OrderedDict()

    def asked(self, session_id: str, arguments: str) -> None:
        """A tool call of the session; texts among its arguments (JSON) may be prompts."""
        if len(arguments) < PROMPT_CHARS:
            return
        try:
            fields = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return
        values = fields.values() if isinstance(fields, dict) else ()
        for value in values:
            if isinstance(value, str) and len(value.strip()) >= PROMPT_CHARS:
                self._prompts[_key(value)] = session_id
                self._prompts.move_to_end(_key(value))
        while len(self._prompts) > _REMEMBERED_PROMPTS:
            self._prompts.popitem(last=False)

    def answered(
        self, session_id: str, process_key: str, output: Iterable[Json], opening: Opening
    ) -> None:
        """What the model said; a long text may be a summary that a conversation goes on with."""
        for text in user_texts(output, roles=("assistant", "model")):
            if len(text) >= SUMMARY_CHARS:
                answers = self._answers.setdefault(process_key, deque(maxlen=_ANSWERS))
                self._answers.move_to_end(process_key)
                start = text.strip()[:_OPENING_CHARS]
                answers.append(_Answer(session_id, start, opening.system, opening.tool_set))
        while len(self._answers) > _REMEMBERED_PROCESSES:
            self._answers.popitem(last=False)

    def parent(self, opening: Opening) -> str | None:
        """The session whose tool call carried the first user text."""
        prompted = self.prompted(opening)
        return prompted[0] if prompted is not None else None

    def prompted(self, opening: Opening) -> tuple[str, str] | None:
        """That session, and which of its prompts it was."""
        for text in opening.texts:
            if len(text.strip()) >= PROMPT_CHARS:
                session_id = self._prompts.get(_key(text))
                if session_id is not None:
                    return session_id, _key(text)
        return None

    def continued(self, opening: Opening, process_key: str) -> str | None:
        """The session whose history a summary has replaced."""
        for answer in reversed(self._answers.get(process_key, ())):
            same = (answer.system, answer.tool_set) == (opening.system, opening.tool_set)
            if same and any(answer.opening in text for text in opening.texts):
                return answer.session_id
        return None


def user_texts(messages: Iterable[Json], roles: tuple[str, ...] = ("user",)) -> tuple[str, ...]:
    """Texts of the first messages that have one of the roles, in any provider's shape."""
    found: list[str] = []
    for number, message in enumerate(messages):
        if number >= _OPENING_MESSAGES or len(found) >= _TEXTS:
            break
        if not isinstance(message, dict) or message.get("role") not in roles:
            continue
        content: Any = message.get("content", message.get("parts"))
        for block in content if isinstance(content, list) else [content]:
            text = block.get("text") if isinstance(block, dict) else block
            if isinstance(text, str) and text:
                found.append(text)
    return tuple(found[:_TEXTS])


def _key(text: str) -> str:
    return digest(text.strip().encode("utf-8", "replace"))
