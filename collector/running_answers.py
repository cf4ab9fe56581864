"""What running calls have said so far, for whoever watches them.

In: the decoders of calls under way, and which of them were fed since. Out: a `RunningAnswerRow`
for each that said more, and one without a body when its call ended, which takes the row away.

A secret that has come in part is masked as one that has come whole: text is searched up to its
end for what may become a key (`Redactor.redact_growing`). Rows are bounded: of long texts the end
is kept, long ones are told less often, and of many calls each in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

import orjson

from collector.llm.api import ResponseDecoder
from collector.llm.model import Json, LlmResponse
from collector.llm.token_estimate import output_tokens
from collector.redaction import TextRedactor
from collector.rows import RunningAnswerRow

KEPT_CHARS = 64 << 10
"""Of one call's texts together."""
SEARCHED_CHARS = 2 * KEPT_CHARS
"""Of one text: longer than what is kept, so that a key that begins before it is found."""
LEFT_OUT = "…"
_NODE_CHARS = 16  # what a value costs beside its text
_SHORT_CHARS = 64  # names and ids, which are kept whole
_MAX_DEPTH = 12
_TICKS_A_TAKE = 10  # takes come twice a second
_CHARS_A_TICK = 1600  # 32,000 characters a second of one call
_MOST_A_TAKE = 16  # calls; with more under way each is told less often
_TICKS_OF_URGENT = 1  # and more often, for a moment, when a tool has answered


class Heard(NamedTuple):
    """A running call, when it was heard last (kernel time), and what decodes it."""

    call_id: str
    heard_ns: int
    decoder: ResponseDecoder


class RunningAnswers:
    """Tells what running calls have said, each at most twice a second."""

    def __init__(self, redact_growing: TextRedactor) -> None:
        self._redact = redact_growing
        self._ticks = 0
        self._told: dict[str, tuple[int, int]] = {}  # call -> when it was heard, next due at
        self._ended: list[RunningAnswerRow] = []

    def take(
        self, running: Iterable[Heard], wall_ns: Callable[[int], int], *, urgent: bool
    ) -> list[RunningAnswerRow]:
        """Rows of calls that said more, or ended. `urgent`: called sooner than twice a second."""
        self._ticks += _TICKS_OF_URGENT if urgent else _TICKS_A_TAKE
        rows, self._ended = self._ended, []
        waiting = []
        for heard in running:
            told_ns, due = self._told.get(heard.call_id, (0, 0))
            if heard.heard_ns > told_ns and self._ticks >= due:
                waiting.append((told_ns, heard))
        waiting.sort(key=itemgetter(0))
        for _, (call_id, heard_ns, decoder) in waiting[:_MOST_A_TAKE]:
            output = decoder.said()
            made = output_tokens(LlmResponse(output=output))
            body = bounded(output, self._redact)
            if made is None or body is None:
                continue
            pause = max(_TICKS_A_TAKE, len(body) // _CHARS_A_TICK)
            self._told[call_id] = heard_ns, self._ticks + pause
            rows.append(RunningAnswerRow(call_id, body, made, wall_ns(heard_ns)))
        return rows

    def ended(self, call_id: str, at_ns: int) -> None:
        """The call's answer is stored with its messages from now on."""
        if self._told.pop(call_id, None) is not None:
            self._ended.append(RunningAnswerRow(call_id, None, None, at_ns))


def bounded(output: Sequence[Json], redact: TextRedactor) -> str | None:
    """The output as a JSON list, masked; of too much the beginning is left out. None: nothing."""
    if not output:
        return None
    kept = _Kept(redact).value(list(output), 0)
    try:
        return orjson.dumps(kept).decode()
    except (TypeError, orjson.JSONEncodeError):
        return None


class _Kept:
    """Takes values from the last to the first, until there is no room."""

    def __init__(self, redact: TextRedactor) -> None:
        self._redact = redact
        self._room = KEPT_CHARS

    def value(self, value: Json, depth: int) -> Json:
        self._room -= _NODE_CHARS
        if type(value) is str:
            return self._text(value)
        if depth > _MAX_DEPTH:
            return LEFT_OUT
        if type(value) is list:
            items = []
            for item in reversed(value):
                if self._room <= 0:
                    items.append(LEFT_OUT)
                    break
                items.append(self.value(item, depth + 1))
            return items[::-1]
        if type(value) is dict:
            fields = {}
            for key, item in reversed(value.items()):
                if self._room <= 0 and type(item) in (dict, list):
                    continue
                if self._room <= -KEPT_CHARS:
                    break
                fields[self._text(key)] = self.value(item, depth + 1)
            return dict(reversed(fields.items()))
        return value

    def _text(self, text: str) -> str:
        """The end of a text, as far as there is room."""
        long = len(text) > SEARCHED_CHARS
        text = self._redact(text[-SEARCHED_CHARS:] if long else text)
        room = max(_SHORT_CHARS, self._room)
        if len(text) > room:
            text = LEFT_OUT + text[-room:]
        elif long:
            text = LEFT_OUT + text
        self._room -= len(text)
        return text.encode("utf-8", "replace").decode()  # lone surrogates are no JSON
