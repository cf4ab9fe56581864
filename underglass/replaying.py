"""A recording that is decoded at the pace at which it was made, as if it happened now.

In: a recording. Out: a store that fills while it is looked at, analysed and answering readers as
that of a live capture. The recording's first seconds are there at once.
"""

from __future__ import annotations

import struct
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from underglass import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.capture_info import CaptureInfo
    from underglass.keeping import Keeping

_KTIME = struct.Struct("<Q")
_KTIME_AT = 8  # in a frame, see probes.frames
_FLUSH_EVERY_S = 0.3
_PAUSE_S = 0.02


class PacedReplay:
    """Fills the store at `store` in a thread of its own, from `start` until the recording ends.

    `head_s` seconds of it come at once; what follows takes its time, divided by `speed` (its times
    run ahead of the clock then). `ended` says that all was decoded; `failure`, why not.
    """

    def __init__(
        self,
        recording: Path,
        store: Path,
        *,
        salt: bytes,
        speed: float = 1.0,
        head_s: float = 8.0,
    ) -> None:
        """Raises what `RecordingReader` and `Store.open` raise."""
        from analysis.runaways import DEFAULT
        from collector.recording import RecordingReader
        from underglass.keeping import Keeping

        self._reader = RecordingReader(recording)
        self._store = store
        self._salt = salt
        self._speed = speed
        self._head_s = head_s
        self._closing = threading.Event()
        self._headed = threading.Event()
        self._keeping: Keeping = Keeping(store, content=True, limits=DEFAULT)
        self._thread = threading.Thread(target=self._work, name="replay", daemon=True)
        self.ended = False
        self.failure: str | None = None

    def start(self, timeout_s: float = 20.0) -> None:
        """Begin; returns when the first seconds are stored, and readers are answered."""
        from collector.ownership import is_owned

        deadline = time.monotonic() + timeout_s
        self._thread.start()
        self._headed.wait(timeout_s)
        while self.failure is None and time.monotonic() < deadline:
            owner = is_owned(self._store)[1]
            if owner is not None and owner.socket is not None:
                return
            time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Stop, wherever it is, and give the store up."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._keeping.close()
        self._reader.close()

    def _work(self) -> None:
        try:
            self._play()
            self.ended = not self._closing.is_set()
        except Exception as error:  # the dashboard goes on with what is there
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self._headed.set()

    def _play(self) -> None:
        from collector.decoding import tell_decoder
        from collector.pipeline import Pipeline
        from collector.redaction import Redactor

        frames = self._reader.frames()
        first = next(frames, None)
        if first is None:
            return
        began_ktime_ns = _ktime_ns(first)
        redactor = Redactor(self._salt)
        pipeline = Pipeline(
            _as_of_now(self._reader.info, began_ktime_ns, self._head_s),
            redactor.redact_text,
            header_value=redactor.header_value,
            fingerprinter=redactor.fingerprinter,
        )

        def write(*, last: bool = False) -> None:
            batch = pipeline.finish() if last else pipeline.take()
            tell_decoder(batch, __version__)
            self._keeping.write(batch)

        pipeline.feed(first)
        started = time.monotonic()
        flushed = started
        for frame, offset_s in _timed(frames, began_ktime_ns):
            due = started + (offset_s - self._head_s) / self._speed
            while not self._closing.is_set() and (wait_s := due - time.monotonic()) > 0:
                if not self._headed.is_set():
                    write()
                    self._keeping.answer_queries()
                    self._headed.set()
                elif time.monotonic() - flushed >= _FLUSH_EVERY_S:
                    write()
                    flushed = time.monotonic()
                self._closing.wait(min(wait_s, _FLUSH_EVERY_S))
            if self._closing.is_set():
                return
            pipeline.feed(frame)
        write(last=True)
        self._keeping.answer_queries()


def _timed(frames: Iterator[bytes], began_ktime_ns: int) -> Iterator[tuple[bytes, float]]:
    """Each frame with the seconds since the first, by the latest time that was seen: rings are
    emptied one after the other."""
    latest_ns = began_ktime_ns
    for frame in frames:
        latest_ns = max(latest_ns, _ktime_ns(frame))
        yield frame, (latest_ns - began_ktime_ns) / 1e9


def _ktime_ns(frame: bytes) -> int:
    return int(_KTIME.unpack_from(frame, _KTIME_AT)[0])


def _as_of_now(info: CaptureInfo, began_ktime_ns: int, head_s: float) -> CaptureInfo:
    """The capture's facts, moved so that its beginning was `head_s` seconds ago."""
    now_ns = time.time_ns() - int(head_s * 1e9)
    moved_ns = now_ns - info.wall_ns(began_ktime_ns)
    return replace(
        info,
        started_ns=info.started_ns + moved_ns,
        clock_offset_ns=info.clock_offset_ns + moved_ns,
        boottime_offset_ns=info.boottime_offset_ns + moved_ns,
    )
