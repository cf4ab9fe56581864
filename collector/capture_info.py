"""What identifies one capture: the head of a recording, and the same facts for a live run.

In: the machine, once, at start. Out: `CaptureInfo`, with which every kernel time becomes wall
time and every id is derived, so that a replay yields the same rows as the capture did.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

FORMAT = 1


@dataclass(frozen=True, slots=True)
class CaptureInfo:
    """Facts of one capture. `clock_offset_ns`: Unix time minus the kernel's monotonic clock."""

    capture_id: str
    boot_id: str
    kernel: str
    version: str
    command: str
    started_ns: int
    clock_offset_ns: int
    boottime_offset_ns: int  # Unix time minus CLOCK_BOOTTIME
    format: int = FORMAT

    def wall_ns(self, ktime_ns: int) -> int:
        """Kernel monotonic time as nanoseconds since the Unix epoch."""
        return ktime_ns + self.clock_offset_ns

    def to_json(self) -> bytes:
        """For the head of a recording."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> CaptureInfo:
        """Raises ValueError when a field is missing or of another format."""
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise ValueError("unknown format")
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(str(error)) from error


def _offset_ns(clock: int) -> int:
    """Unix time minus a clock, from the tightest of a few readings."""
    best: tuple[int, int] | None = None
    for _ in range(5):
        before = time.clock_gettime_ns(clock)
        wall = time.time_ns()
        after = time.clock_gettime_ns(clock)
        if best is None or after - before < best[0]:
            best = (after - before, wall - (before + after) // 2)
    return best[1] if best else 0


def observe(command: str, version: str) -> CaptureInfo:
    """The facts of a capture that starts now."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    started_ns = time.time_ns()
    seed = f"{boot_id}:{started_ns}:{os.getpid()}".encode()
    return CaptureInfo(
        capture_id=hashlib.blake2b(seed, digest_size=8).hexdigest(),
        boot_id=boot_id,
        kernel=os.uname().release,
        version=version,
        command=command,
        started_ns=started_ns,
        clock_offset_ns=_offset_ns(time.CLOCK_MONOTONIC),
        boottime_offset_ns=_offset_ns(time.CLOCK_BOOTTIME),
    )
