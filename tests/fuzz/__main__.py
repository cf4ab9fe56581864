"""Works through the targets: `python -m tests.fuzz [--seconds N] [--state DIR] [TARGET...]`.

Each target gets its seconds in slices, in turn, and what was done is remembered: the same command
goes on where the last one stopped. In the state directory: a corpus, findings and a log for each
target, and `summary.json`. `--keep` writes what the corpora reach into `tests/fuzz/corpus`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import re
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.fuzz import seeds
from tests.fuzz.keeping import keep
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
_SLICE_SECONDS = 240
_OPTIONS = ("-timeout=30", "-rss_limit_mb=2000", "-print_final_stats=1", "-verbosity=1")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
_DURATION = re.compile(r"Done \d+ runs in (\d+) second")
_EXECUTIONS = re.compile(r"stat::number_of_executed_units: (\d+)")


def main() -> int:
    """Run; 1 when there are findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=["*"], help="names or patterns")
    parser.add_argument("--seconds", type=int, default=1800, help="for each target, in all")
    parser.add_argument("--state", type=Path, default=ROOT / ".venv" / "fuzz")
    parser.add_argument("--keep", action="store_true", help="write tests/fuzz/corpus, no fuzzing")
    options = parser.parse_args()
    state: Path = options.state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    chosen = [name for name in TARGETS if any(fnmatch(name, one) for one in options.targets)]
    if not chosen:
        parser.error(f"no such target; there are: {', '.join(TARGETS)}")
    if options.keep:
        for name in chosen:
            corpora = [state / "corpus" / name, CORPUS / name]
            print(name, keep(TARGETS[name], corpora, seeds.of_target(name), CORPUS / name))
        return 0
    while left := [name for name in chosen if _done(state, name)["seconds"] < options.seconds]:
        for name in left:
            _slice(state, name, options.seconds)
    return int(any(one["findings"] for one in _summary(state).values()))


def _done(state: Path, name: str) -> dict[str, Any]:
    """What was done for a target so far."""
    try:
        found: dict[str, Any] = json.loads((state / f"{name}.json").read_text())
    except FileNotFoundError:
        return {"seconds": 0, "executions": 0}
    return found


def _slice(state: Path, name: str, budget: int) -> None:
    """Fuzz a target for a while, unless another process does."""
    with open(state / f"{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(1)
            return
        done = _done(state, name)
        seconds = min(_SLICE_SECONDS, budget - int(done["seconds"]))
        if seconds <= 0:
            return
        begin = time.monotonic()
        output = _fuzz(state, name, seconds)
        ran = _DURATION.findall(output)  # none where libFuzzer stopped at a slow input
        done["seconds"] += max(1, int(ran[-1]) if ran else round(time.monotonic() - begin))
        if found := _EXECUTIONS.findall(output):
            done["executions"] += int(found[-1])
        if reached := _COVERAGE.findall(output):
            done["coverage"], done["features"], done["corpus"] = map(int, reached[-1])
        findings = state / "findings" / name
        done["findings"] = sorted(
            (one.read_text().partition("\n")[0] for one in findings.glob("*.txt")),
        ) + sorted(one.name for one in findings.glob("*-*"))  # libFuzzer's own: slow, too large
        (state / f"{name}.json").write_text(json.dumps(done, indent=1))
    _summary(state)


def _fuzz(state: Path, name: str, seconds: int) -> str:
    """One run of libFuzzer; what it printed, which is also in the log."""
    corpus, findings = state / "corpus" / name, state / "findings" / name
    findings.mkdir(parents=True, exist_ok=True)
    if not corpus.is_dir():
        corpus.mkdir(parents=True)
    known = seeds.of_target(name)
    for number, seed in enumerate(known):
        (corpus / f"seed{number}").write_bytes(seed)
    dictionary = state / f"{name}.dict"
    entries = (f'"{word.decode()}"' for word in seeds.words(known))
    dictionary.write_text("\n".join(entries) + "\n")
    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={TARGETS[name].max_bytes}",
        f"-dict={dictionary}",
        f"-artifact_prefix={findings}/",
    ]
    corpora = [str(corpus), *([str(CORPUS / name)] if (CORPUS / name).is_dir() else [])]
    command = [sys.executable, "-m", "tests.fuzz.fuzzer", name, str(findings)]
    run = subprocess.run(
        [*command, *_OPTIONS, *limits, *corpora],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with open(state / f"{name}.log", "a") as log:
        log.write(run.stdout)
    if "INITED" not in run.stdout:
        sys.exit(f"{name} was not fuzzed:\n{run.stdout[-2000:]}")
    return run.stdout


def _summary(state: Path) -> dict[str, Any]:
    """All targets, also in `summary.json`."""
    found = {name: _done(state, name) for name in TARGETS if (state / f"{name}.json").exists()}
    for done in found.values():
        done.setdefault("findings", [])
    text = json.dumps(found, indent=1)
    (state / "summary.json").write_text(text + "\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
