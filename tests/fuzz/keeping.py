"""Which inputs of a corpus are kept in the repository.

In: a harness and directories of inputs. Out: a directory with few and short ones that together
reach every line of the project that all of them reach. Lines, not libFuzzer's features: these
would keep a hundred times as much, and the suite replays it all.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.targets import Target

_LAYERS = ("/analysis/", "/collector/", "/probes/")
Place = tuple[str, int, int]  # file, the line before, the line


def keep(harness: Target, corpora: list[Path], seeds: list[bytes], target: Path) -> tuple[int, int]:
    """Write the inputs to keep into `target`; gives how many, and their bytes."""
    inputs = {path.read_bytes() for one in corpora if one.is_dir() for path in one.iterdir()}
    inputs.update(seeds)
    reached: set[Place] = set()
    kept: list[bytes] = []
    size = 0
    for raw in sorted(inputs, key=lambda raw: (len(raw), raw)):
        if len(raw) > harness.max_bytes or size + len(raw) > harness.max_kept_bytes:
            continue
        places = _reached(harness.run, raw)
        if places is None or places <= reached:
            continue
        reached |= places
        kept.append(raw)
        size += len(raw)
    _write(target, kept)
    return len(kept), size


def _reached(run: Callable[[bytes], None], raw: bytes) -> set[Place] | None:
    """Steps from line to line; None when the harness objects."""
    places: set[Place] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not any(layer in name for layer in _LAYERS) or "/tests/" in name:
            return None
        before = 0

        def line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal before
            places.add((name, before, frame.f_lineno))
            before = frame.f_lineno
            return line

        return line

    sys.settrace(trace)
    try:
        run(raw)
    except Exception:
        return None
    finally:
        sys.settrace(None)
    return places


def _write(target: Path, kept: Iterable[bytes]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    names = {hashlib.sha256(raw).hexdigest()[:16]: raw for raw in kept}
    for path in target.iterdir():
        if path.name not in names:
            path.unlink()
    for name, raw in names.items():
        (target / name).write_bytes(raw)
