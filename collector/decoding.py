"""Decodes a recording into a store: what `replay` and `redecode` share.

In: a recording and a redactor. Out: batches, whose capture rows tell which version decoded them,
and a `Decoded`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from collector.capture import Write, replay
from collector.pipeline import Pipeline
from collector.pricing import Override
from collector.recording import RecordingReader
from collector.redaction import Redactor
from collector.rows import Batch

Progress = Callable[[int], None]  # bytes of the recording that were read


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one pass over a recording gave.

    `damage`: what could not be read; None: nothing. `cut_calls`: those that had not ended at the
    end of the recording. `ended_ns`: the time of its last frame.
    """

    frames: int
    damage: str | None
    cut_calls: frozenset[str]
    ended_ns: int


def decode(
    reader: RecordingReader,
    redactor: Redactor,
    write: Write,
    *,
    version: str,
    content: bool = True,
    overrides: tuple[Override, ...] = (),
    progress: Progress | None = None,
) -> Decoded:
    """Take the recording through a pipeline of its own, batch by batch."""
    pipeline = Pipeline(
        reader.info,
        redactor.redact_text,
        content=content,
        overrides=overrides,
        header_value=redactor.header_value,
        fingerprinter=redactor.fingerprinter,
    )
    last = Batch()

    def take(batch: Batch) -> None:
        nonlocal last
        last = batch
        tell_decoder(batch, version)
        write(batch)

    frames = replay(reader, pipeline, take, progress)
    (capture,) = last.captures  # it is written anew, as it has ended
    assert capture.ended_ns is not None
    cut_calls = frozenset(call.call_id for call in last.calls)
    return Decoded(frames, reader.damage, cut_calls, capture.ended_ns)


def tell_decoder(batch: Batch, version: str) -> None:
    """Note in a batch's capture rows which version decoded them, and that it was now."""
    now_ns = time.time_ns()
    batch.captures = [replace(row, decoded_by=version, decoded_ns=now_ns) for row in batch.captures]
