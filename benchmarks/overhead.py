"""What capture costs the agent: the same work watched and unwatched, in one run, as ratios.

`python -m benchmarks.overhead [--calls 300] [--rounds 7]` as root. Rounds alternate in random
order against one zero-latency stand-in; ratios are medians of the rounds' own ratios. Also: what
`run` adds before the command starts, and the collector's own CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from underglass.demo.standin import StandIn

CLIENT = Path(__file__).with_name("streaming_client.py")
UNDERGLASS = Path(sys.executable).with_name("underglass")


def _run(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result: dict[str, Any] = json.loads(done.stdout)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result["observer_cpu_s"] = used - result["cpu_s"]
    result["said"] = done.stderr
    return result


def _startup_s(environment: dict[str, str], store: Path) -> float:
    """Seconds from starting `underglass run` to its child's first instruction."""
    stamp = "import time; print(time.time_ns())"
    started = time.time_ns()
    done = subprocess.run(
        [str(UNDERGLASS), "run", "--db", str(store), "--", "/usr/bin/python3", "-c", stamp],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    watched = int(done.stdout) - started
    started = time.time_ns()
    bare = subprocess.run(
        ["/usr/bin/python3", "-c", stamp], capture_output=True, text=True, check=True
    )
    return (watched - (int(bare.stdout) - started)) / 1e9


def _help_s() -> float:
    started = time.perf_counter()
    subprocess.run([str(UNDERGLASS), "--help"], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, StandIn(
        "zero_latency", Path(folder) / "model"
    ) as server:  # fmt: skip
        environment = os.environ | server.environment()
        client = [sys.executable, str(CLIENT), str(options.calls)]
        store = Path(folder) / "overhead.db"
        variants = {
            "no observer": client,
            "underglass run": [str(UNDERGLASS), "run", "--db", str(store), "--", *client],
        }
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
        for _ in range(options.rounds):
            for name in random.sample(list(variants), len(variants)):
                measured[name].append(_run(variants[name], environment))
        startup = [_startup_s(environment, store) for _ in range(5)]

    def median(name: str, key: str) -> float:
        return float(statistics.median(one[key] for one in measured[name]))

    def p50(name: str) -> float:
        middles = [statistics.median(one["calls_ms"]) for one in measured[name]]
        return float(statistics.median(middles))

    def ratio(name: str, key: str) -> float:
        """Median over rounds of watched to unwatched in the same round: drift cancels out."""
        pairs = zip(measured[name], measured[base], strict=True)
        return float(statistics.median(one[key] / other[key] for one, other in pairs))

    base = "no observer"
    print(f"{options.calls} streamed calls on one connection, {options.rounds} rounds, medians")
    for name in variants:
        print(
            f"{name:<16} wall {median(name, 'wall_s'):6.3f} s "
            f"(x{ratio(name, 'wall_s'):.2f})  "
            f"client CPU {median(name, 'cpu_s'):6.3f} s "
            f"(x{ratio(name, 'cpu_s'):.2f})  "
            f"p50 {p50(name):6.3f} ms (x{p50(name) / p50(base):.2f})"
        )
    watched = measured["underglass run"]
    own_cpu_s = median("underglass run", "observer_cpu_s")
    print(f"observer's own CPU {own_cpu_s:.2f} s, start-up included")
    print(f"start-up added before the command runs: median {statistics.median(startup):.2f} s, "
          f"max {max(startup):.2f} s")  # fmt: skip
    print(f"underglass --help: median {statistics.median(_help_s() for _ in range(9)):.3f} s")
    print("last summary:", watched[-1]["said"].splitlines()[0])


if __name__ == "__main__":
    main()
