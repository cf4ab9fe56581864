"""Do the probes still hear? TLS records that flow while no plaintext comes say that they do not.

In: TLS record and plaintext bytes by process, again and again. Out: what changed, and processes
whose hooks should be put in anew. The agents' own traffic is the test tone, so every stack and
file is covered; uprobes have been seen to fall silent on overlay file systems.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from probes.events import ProcessTraffic

SILENT_RECORD_BYTES = 24 << 10
"""More than handshakes need: records of so many bytes without plaintext are suspicious."""


@dataclass(slots=True)
class _Heard:
    traffic: ProcessTraffic
    plaintext: int
    silent_since: int  # record bytes when plaintext last came

    @property
    def records(self) -> int:
        return self.traffic.tls_read_bytes + self.traffic.tls_written_bytes


class Hearing:
    """Compares records with plaintext, process by process."""

    def __init__(self) -> None:
        self._heard: dict[int, _Heard] = {}

    def check(
        self, traffic: Iterable[tuple[ProcessTraffic, int]]
    ) -> tuple[list[ProcessTraffic], list[int]]:
        """(traffic that changed since the last check, pids whose hooks seem deaf)."""
        changed: list[ProcessTraffic] = []
        deaf: list[int] = []
        for seen, plaintext in traffic:
            records = seen.tls_read_bytes + seen.tls_written_bytes
            known = self._heard.get(seen.pid)
            if known is None or known.traffic.start_ns != seen.start_ns:
                known = self._heard[seen.pid] = _Heard(
                    seen, plaintext, 0 if not plaintext else records
                )
                changed.append(seen)
            elif records != known.records or plaintext != known.plaintext:
                changed.append(seen)
                if plaintext != known.plaintext:
                    known.silent_since = records
                known.traffic, known.plaintext = seen, plaintext
            if records - known.silent_since >= SILENT_RECORD_BYTES:
                deaf.append(seen.pid)
                known.silent_since = records
        return changed, deaf

    def forget(self, pid: int) -> None:
        """A process ended."""
        self._heard.pop(pid, None)
