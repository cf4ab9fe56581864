"""Work that is done while `underglass attach` watches."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from probes.errors import UnderglassError
from tests.e2e.conftest import UNDERGLASS, Watched, wait_for


def while_attached(
    store: Path, options: Sequence[str], work: Callable[[], object]
) -> tuple[int, str]:
    """Attach, do some work once the probes are in, and end the collector with Ctrl-C.

    Its exit code, and what it said.
    """
    collector = subprocess.Popen(
        [UNDERGLASS, "attach", *options, "--db", store], stderr=subprocess.PIPE, text=True
    )
    watched = Watched(store, 0, "", "")

    def attached() -> bool:
        try:
            return watched.health("probe", "attached_probes") > 0
        except UnderglassError:
            return False  # no store yet, or the collector does not answer yet

    try:
        wait_for(attached, "the collector answers")
        work()
    finally:
        collector.send_signal(signal.SIGINT)
        _, said = collector.communicate(timeout=30)
    return collector.returncode, said
