"""How fast the dashboard answers keys while a collector writes, and what memory it takes.

    python -m benchmarks.dashboard [--calls 100000] [--seconds 60] [--rate 2000] [--store FILE]
    python -m benchmarks.dashboard --hour           memory every minute, for 3600 s

Makes a store of so many calls (`benchmarks.big_store`) or takes a copy of FILE, has a process own
it, serve queries and write `--rate` rows a second (calls, tool calls, processes, file events), and
drives the real dashboard without a terminal through all views and keys. A key's time is from its
arrival to the end of the first frame that shows what it does, escape codes included; `shown` is
the time until a view that was chosen has its rows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from textual import events
from textual._compositor import CompositorUpdate

from benchmarks.big_store import make
from collector.query_service import QueryService
from collector.rows import (
    Batch,
    CallRow,
    CaptureRow,
    FileEventRow,
    HealthRow,
    ProcessRow,
    SessionRow,
    ToolCallRow,
)
from collector.store import Store
from tui.app import UnderglassApp
from tui.views.table import TableView

SIZE = (120, 40)
_WAIT_S = 3.0
_BATCH_S = 0.1
_CALLS_OF_A_SESSION = 200
_VIEWS = "123456789"
_TOUR: tuple[str, ...] = (
    "2", *"jjjjjjjjkkjj", "ctrl+d", "ctrl+d", "ctrl+d", "ctrl+u", "G", "ctrl+u", "k", "k", "g", "f",
    "j", "s", "s", "S", "S", "g", "slash", *"status:error", "enter", "j", "j", "escape",
    "3", *"jjjkk", "G", "g", "4", "j", "enter", "escape", "2", "j", "enter", "escape", "5", "j",
    "6", "7", "8", "9", "1", "j", "0", "escape", "question_mark", "escape", "z", "z", "p", "p",
    "t", "plus", "minus", "0", "1", "j", "G", "g", "0", "4", "j",
)  # fmt: skip


def write(path: Path, rate: int) -> None:
    """Own the store, serve it, and write until killed, or left alone."""
    with Store.open(path) as store:
        service = QueryService(store)
        service.start()
        service.wait_until_ready(30)
        began_ns = time.time_ns()
        store.write(
            Batch(captures=[CaptureRow("live", began_ns, None, "benchmark", "0", "boot", "6")])
        )
        print("ready", flush=True)
        due, at, parent = time.monotonic(), 0, os.getppid()
        while os.getppid() == parent:
            batch = Batch()
            for _ in range(int(rate * _BATCH_S)):
                _add(batch, at)
                at += 1
            batch.health = [
                HealthRow("live", "openssl", "captured_events", "", at),
                HealthRow("live", "probe", "attached_probes", "", 6),
            ]
            store.write(batch)
            due += _BATCH_S
            time.sleep(max(0.0, due - time.monotonic()))


def _add(batch: Batch, at: int) -> None:
    now_ns = time.time_ns()
    session = f"live{at // (_CALLS_OF_A_SESSION * 10)}"
    kind = at % 10
    if at % (_CALLS_OF_A_SESSION * 10) == 0:
        batch.sessions.append(
            SessionRow(session, "read", "claude-code", "2", None, 4000, now_ns, None)
        )
    if kind == 0:
        batch.calls.append(_call(f"live{at}", session, now_ns))
    elif kind == 1:
        batch.tool_calls.append(
            ToolCallRow(
                f"tool{at}", session, f"live{at - 1}", "Bash", '{"command":"make"}', f"h{at}",
                "done", f"r{at}", False, now_ns, now_ns + 1000, None,
            )
        )  # fmt: skip
    elif kind < 4:
        batch.processes.append(
            ProcessRow(
                f"boot:live{at}", at % 4_000_000, 4000, now_ns, None, "sh", "/bin/sh",
                ("/bin/sh", "-c", f"make {at}"), "/work", 1000, None, None, None, session,
            )
        )  # fmt: skip
    else:
        batch.file_events.append(
            FileEventRow(
                f"live{at}", "live", f"boot:live{at - kind + 2}", 4000, now_ns, now_ns, 1, "open",
                "read", f"/work/file{at % 500}", None, None,
            )
        )  # fmt: skip


def _call(call_id: str, session: str, now_ns: int) -> CallRow:
    names = CallRow.__dataclass_fields__
    given: dict[str, Any] = dict.fromkeys(name for name in names if name != "chunk_ns")
    given |= {
        "call_id": call_id, "session_id": session, "agent": "claude-code", "pid": 4000,
        "comm": "node", "provider": "anthropic", "api": "anthropic.messages",
        "model": "claude-sonnet-4-6", "started_ns": now_ns - 10**9, "ended_ns": now_ns,
        "first_token_ns": now_ns - 5 * 10**8, "status": "ok", "stream": True, "complete": True,
        "input_tokens": 2000, "output_tokens": 100, "cache_read_tokens": 1500, "cost_usd": 0.01,
        "cost_source": "made", "finish_reason": "end_turn", "tool_call_count": 1,
        "request_bytes": 4000, "response_bytes": 3000, "lost_bytes": 0, "capture_id": "live",
        "operation": "chat", "usage_source": "reported",
    }  # fmt: skip
    return CallRow(**given)


class Driven(UnderglassApp):
    """The dashboard; every frame is rendered to text, as for a terminal."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.drawn = asyncio.Event()
        self.before: Any = None

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        if isinstance(renderable, CompositorUpdate):
            renderable.render_segments(self.console)
        if self.before is not None and self.state() != self.before:
            self.drawn.set()

    def state(self) -> Any:
        """Changes with every key of the tour."""
        main = self._main
        view = main.view
        at = None
        if isinstance(view, TableView):
            at = (view.rows.cursor, view.rows.first_line, view.rows.following)
        focused = self.screen.focused
        return (
            id(self.screen), main.name_shown, at, main.scope, main.sorting, self.feed.paused,
            self.theme, main.maximised_view, self.feed.interval_s,
            getattr(focused, "value", None), id(focused), getattr(focused, "highlighted", None),
            repr(view.subject()) if at is None and main.is_attached else None,
        )  # fmt: skip


async def press(app: Driven, key: str) -> float | None:
    """Milliseconds until the key was on the screen; None when nothing changed."""
    app.before = app.state()
    app.drawn.clear()
    character = key if len(key) == 1 else None
    began = time.perf_counter()
    app.post_message(events.Key(key, character))
    try:
        await asyncio.wait_for(app.drawn.wait(), _WAIT_S)
    except TimeoutError:
        return None
    finally:
        app.before = None
    return 1000 * (time.perf_counter() - began)


async def shown(app: Driven) -> None:
    """Until the view has its rows."""
    while app._main.stale:
        await asyncio.sleep(0.002)


async def drive(path: Path, seconds: float, seed: int) -> None:
    pauses = random.Random(seed)
    times: dict[str, list[float]] = defaultdict(list)
    views: list[float] = []
    silent: list[str] = []
    app = Driven(path)
    async with app.run_test(size=SIZE, notifications=True):
        while app.feed.snapshot is None or app._main.stale:
            await asyncio.sleep(0.05)
        for number in _VIEWS:
            app.post_message(events.Key(number, number))
            await asyncio.sleep(0.5)
        began, minute = time.monotonic(), 0
        first_mb = memory_mb()
        while time.monotonic() - began < seconds:
            for key in _TOUR:
                pressed = time.perf_counter()
                took = await press(app, key)
                if took is None:
                    silent.append(f"{key} in {app._main.name_shown}")
                else:
                    times[key].append(took)
                if key in _VIEWS and took is not None:
                    await shown(app)
                    views.append(1000 * (time.perf_counter() - pressed))
                await asyncio.sleep(pauses.uniform(0.03, 0.15))
                if time.monotonic() - began >= 60 * (minute + 1):
                    minute += 1
                    print(f"minute {minute:>3}: {memory_mb():,.0f} MB", flush=True)
                if time.monotonic() - began >= seconds:
                    break
        last_mb = memory_mb()
        source = app.feed.snapshot.source
        calls = app.feed.snapshot.totals.calls
    everything = [each for found in times.values() for each in found]
    print(f"{calls:,} calls, {source}; {len(everything)} keys")
    print(f"key to drawn: {_percentiles(everything)}")
    print(f"view shown:   {_percentiles(views)}")
    for key, found in sorted(times.items(), key=lambda item: -max(item[1]))[:12]:
        print(f"  {key:<14} {_percentiles(found)}  n={len(found)}")
    if silent:
        print(f"without an effect: {len(silent)}: {', '.join(sorted(set(silent))[:12])}")
    print(f"memory: {first_mb:,.0f} MB at the start, {last_mb:,.0f} MB at the end")


def _percentiles(found: list[float]) -> str:
    if len(found) < 2:
        return f"{found[0]:.1f} ms" if found else "none"
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    return f"p50 {cuts[49]:6.1f}  p95 {cuts[94]:6.1f}  max {max(found):6.1f} ms"


def memory_mb() -> float:
    """What of this process is in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--store", type=Path, help="copied, not written")
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer is not None:
        write(options.writer, options.rate)
        return
    with tempfile.TemporaryDirectory(prefix="underglass-dashboard-") as folder:
        path = Path(folder) / "store.db"
        if options.store is not None:
            shutil.copy(options.store, path)
        else:
            make(path, options.calls)
        command = [sys.executable, "-m", "benchmarks.dashboard", "--writer", str(path)]
        writer = subprocess.Popen([*command, "--rate", str(options.rate)], stdout=subprocess.PIPE)
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            seconds = 3600.0 if options.hour else options.seconds
            asyncio.run(drive(path, seconds, options.seed))
        finally:
            writer.terminate()
            writer.wait()


if __name__ == "__main__":
    main()
