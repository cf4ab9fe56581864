"""Fuzzes one target with atheris: `python -m tests.fuzz.fuzzer TARGET FINDINGS [libFuzzer's]`.

What a harness raises is written down, the shortest input for each place, and fuzzing goes on.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

_JSON_SHARE = 0.6  # of the changes to JSON, those that keep it JSON


class Findings:
    """Inputs that a harness objects to: in `directory` by a name for the place that raised."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shortest: dict[str, int] = {}

    def add(self, error: Exception, raw: bytes) -> None:
        """Keep the input if it is the shortest for what it shows."""
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "/site-packages/" not in frame.filename
        ]
        where = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
        place = f"{type(error).__name__} {where}"
        if len(raw) >= self._shortest.get(place, sys.maxsize):
            return
        self._shortest[place] = len(raw)
        name = hashlib.sha256(place.encode()).hexdigest()[:12]
        self._directory.mkdir(parents=True, exist_ok=True)
        known = self._directory / name
        if known.exists() and known.stat().st_size <= len(raw):
            return
        known.write_bytes(raw)
        text = "".join(traceback.format_exception(error))
        known.with_suffix(".txt").write_text(
            f"{place}\n\n{text}", encoding="utf-8", errors="replace"
        )
        print(f"FINDING {name} {place}", file=sys.stderr, flush=True)


def main() -> None:
    """Fuzz until libFuzzer has enough."""
    name, directory = sys.argv[1:3]
    with atheris.instrument_imports(include=["analysis", "collector", "probes"]):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.json_mutations import mutated

    run: Callable[[bytes], None] = TARGETS[name].run
    head = TARGETS[name].head
    findings = Findings(Path(directory))

    def test_one_input(raw: bytes) -> None:
        try:
            run(raw)
        except Exception as error:
            findings.add(error, raw)

    def mutate(raw: bytes, max_bytes: int, seed: int) -> bytes:
        random = Random(seed)
        changed = mutated(raw[head:], random) if random.random() < _JSON_SHARE else None
        if changed is None or head + len(changed) > max_bytes:
            return bytes(atheris.Mutate(raw, max_bytes))
        return raw[:head] + changed

    options = {"custom_mutator": mutate} if TARGETS[name].json else {}
    atheris.Setup([sys.argv[0], *sys.argv[3:]], test_one_input, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
