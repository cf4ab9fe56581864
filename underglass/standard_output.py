"""Whether anybody reads standard output."""

from __future__ import annotations

import select
import sys


def nobody_reads() -> bool:
    """True when it is a pipe or socket whose reader is gone."""
    try:
        waiting = select.poll()
        waiting.register(sys.stdout.fileno(), 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in waiting.poll(0))
    except (OSError, ValueError):
        return False
