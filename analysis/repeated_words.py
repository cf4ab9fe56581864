"""Words that one text repeats of another.

In: what a tool call says, a result that came before, and what users said. Out: the longest text
that the first two share and the third lacks. White space is left out: pages wrap their lines.
"""

from __future__ import annotations

import re

REPEATED_CHARS = 16
"""So long a text, white space apart, is not in a result and in a tool call by chance."""
MOST_SAID_CHARS = 20_000
"""Of a tool call; what follows is not compared."""


def repeated_words(said: str, result: str, users: str) -> str | None:
    """The longest such text, without its white space; None: none is long enough."""
    said, result, users = _squeezed(said[:MOST_SAID_CHARS]), _squeezed(result), _squeezed(users)
    known = {result[at : at + REPEATED_CHARS] for at in range(len(result) - REPEATED_CHARS + 1)}
    best = ""
    end = 0
    for at in range(len(said) - REPEATED_CHARS + 1):
        if end < at + REPEATED_CHARS:
            if said[at : at + REPEATED_CHARS] not in known:
                continue
            end = at + REPEATED_CHARS
        while end < len(said) and said[at : end + 1] in result:
            end += 1
        if end - at > len(best) and said[at:end] not in users:
            best = said[at:end]
    return best or None


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
