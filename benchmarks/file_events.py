"""What file events cost a call: the same program without probes, out of scope and in scope.

`python -m benchmarks.file_events [--calls 20000] [--rounds 5]` as root. Conditions alternate in
random order within each round; between them probes are put in and taken out. Figures are medians
over rounds, in nanoseconds of processor time a call, and ratios to that without probes, in one run
on a machine that need not be idle. `open` is an open and a close, whose path is walked in the
kernel; `missing` an open that fails, whose name is copied; `read` a pread of 4 KiB from a file that
is not listed as sensitive; `getppid` a call that nothing watches.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmarks.attached import Attached

PROGRAM = Path(__file__).with_name("clients") / "file_calls.c"
CALLS = ("open", "missing", "unlink", "read", "getppid")
CONDITIONS = ("no probes", "out of scope", "in scope")


class Caller:
    """The program that makes the calls. A context manager."""

    def __init__(self, folder: Path) -> None:
        binary, file = folder / "file_calls", folder / "opened"
        file.write_bytes(b"x" * 4096)
        subprocess.run(["gcc", "-O2", "-o", binary, PROGRAM], check=True)
        self.process = subprocess.Popen(
            [binary, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def time_ns(self, call: str, count: int) -> float:
        """Nanoseconds of processor time that one call took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{call} {count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(caller: Caller, calls: int, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Times by condition and call. Lost events are told, since they cost less than others."""
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for condition in random.sample(CONDITIONS, len(CONDITIONS)):
            probes: AbstractContextManager[object] = nullcontext()
            if condition != "no probes":
                follow = caller.process.pid if condition == "in scope" else None
                probes = Attached(follow=follow)
            with probes:
                for call in random.sample(CALLS, len(CALLS)):
                    times.setdefault((condition, call), []).append(caller.time_ns(call, calls))
            if isinstance(probes, Attached) and follow:
                print(f"events {probes.actions}, lost {probes.lost}", flush=True)
    return times


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Caller(Path(folder)) as caller:
        times = measure(caller, options.calls, options.rounds)
    print(f"{'call':10}" + "".join(f"{condition:>16}" for condition in CONDITIONS) + "    ratios")
    for call in CALLS:
        medians = [statistics.median(times[condition, call]) for condition in CONDITIONS]
        shown = "".join(f"{median:13.0f} ns" for median in medians)
        ratios = ", ".join(f"{median / medians[0]:.2f}" for median in medians[1:])
        print(f"{call:10}{shown}    {ratios}")


if __name__ == "__main__":
    main()
