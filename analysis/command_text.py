"""A shell tool's command against the command lines of processes.

In: the text that a model asked to run, and argv. Out: yes or no. Agents wrap the text: `sh -c
TEXT`, `eval 'TEXT' < /dev/null && pwd`, a subshell with traps, an environment restored before it;
quotes are doubled on the way and standard input is closed somewhere inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SHORT_CHARS = 8
"""A shorter command (`ls`) stands in other texts by chance: it must stand alone, as a word."""
LEAST_WORD_CHARS = 4
"""A program's command line shorter than this is not looked for inside a command."""

_DROPPED = str.maketrans("", "", "'\"\\ \t\r\n")
_CLOSED_INPUT = "</dev/null"


def squeezed(text: str) -> str:
    """The text without white space, quotes and closed inputs: what every wrapper leaves alike."""
    return text.translate(_DROPPED).replace(_CLOSED_INPUT, "")


class Command:
    """One command that a model asked for."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self.squeezed = squeezed(text)
        self._word = (
            re.compile(rf"(?:^|[\s;'\"(&|]){re.escape(self._text)}(?:$|[\s;'\")&|])")
            if len(self.squeezed) < SHORT_CHARS
            else None
        )

    def is_run_by(self, argv: Sequence[str]) -> bool:
        """Does the command line hold the whole command?"""
        if not self.squeezed:
            return False
        if self._word is not None:
            return any(self._word.search(word) for word in argv) or (" ".join(argv) == self._text)
        return self.squeezed in squeezed(" ".join(argv))

    def names(self, argv: Sequence[str]) -> bool:
        """Is the command line a part of the command, as where a running shell was told it?"""
        if not argv:
            return False
        program = argv[0].rpartition("/")[2]
        line = squeezed(" ".join([program, *argv[1:]]))
        return len(line) >= LEAST_WORD_CHARS and line in self.squeezed
