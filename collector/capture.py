"""A live capture: the probe's socket in, redaction, recording, pipeline and store out.

One thread does all of it. When it falls behind, the socket and then the kernel's rings fill, and
what the kernel must drop is counted there with its position: no queue here grows without bound.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from collector.pipeline import Pipeline
from collector.raw_data import RawData
from collector.recording import RecordingReader, RecordingWriter
from collector.redaction import Redactor
from collector.rows import Batch
from probes import frames
from probes.client import ProbeClient
from probes.errors import UnderglassError
from probes.events import ProbeState
from probes.frames import FrameSplitter

FLUSH_EVERY_S = 0.5
URGENT_FLUSH_EVERY_S = 0.05
WRITES_EVERY_FRAMES = 20_000  # during replay
WRITES_EVERY_BYTES = 64 << 20
_TOLD_EVERY_FRAMES = 500
Write = Callable[[Batch], None]


class CaptureFailed(UnderglassError):
    """The probe process could not attach."""

    exit_code = 3


class LiveCapture:
    """Moves frames from the probe to the store until told to stop."""

    def __init__(
        self,
        probe: ProbeClient,
        redactor: Redactor,
        pipeline: Pipeline | None,
        write: Write,
        recording: RecordingWriter | None = None,
        raw: RawData | None = None,
        told: Callable[[ProbeState], None] | None = None,
    ) -> None:
        """`told` is called with what the probe process says of itself."""
        self._told = told
        self._probe = probe
        self._redactor = redactor
        self._pipeline = pipeline
        self._write = write
        self._recording = recording
        self._raw = raw
        self._splitter = FrameSplitter()
        self._flushed_at = time.monotonic()
        self.ended = False
        self.flushes = 0
        self.probe_died = True
        self.recording_failure: UnderglassError | None = None

    def wait_ready(self) -> None:
        """Until the probes are attached. Raises CaptureFailed with the probe's own words."""
        self._probe.control("ready")
        state: ProbeState | None = None
        while state is None:
            data = self._probe.receive()
            if not data:
                raise CaptureFailed(
                    "the probe process ended before it was ready", hint="run `underglass doctor`"
                )
            for frame in self._splitter.feed(data):
                event = self._take(frame)
                if event is not None and event.state in ("ready", "failed"):
                    state = event
        if state.state == "failed":
            raise CaptureFailed(state.message, hint=state.hint)

    def _take(self, frame: bytes) -> ProbeState | None:
        """Hand a frame on; what the probe process says in it of itself."""
        frame = self._redactor.frame(frame)
        if self._recording is not None:
            self._record(lambda recording: recording.add(frame))
        if self._raw is not None:
            self._raw.add(frame)
        if self._pipeline is not None:
            self._pipeline.feed(frame)
        if frame[4] != frames.PROBE_STATE:
            return None
        event = frames.decode(frame)
        if not isinstance(event, ProbeState):
            return None
        if self._told is not None:
            self._told(event)
        return event

    def _record(self, step: Callable[[RecordingWriter], None]) -> None:
        """A disk that fills up ends the recording, not the capture, and never the agent's run."""
        if self._recording is None:
            return
        try:
            step(self._recording)
        except UnderglassError as error:
            self.recording_failure = error
            self._recording = None

    def pump(self, *, timeout_s: float, wake: int | None = None) -> None:
        """Wait for frames up to `timeout_s`, take what came, and write when it is time.

        Also returns when the descriptor `wake` becomes readable.
        """
        urgent_in_s = self._flushed_at + URGENT_FLUSH_EVERY_S - time.monotonic()
        if self._is_urgent:
            timeout_s = min(timeout_s, max(0.0, urgent_in_s))
        poll = select.poll()
        poll.register(self._probe.socket, select.POLLIN)
        if wake is not None:
            poll.register(wake, select.POLLIN)
        for descriptor, _ in poll.poll(timeout_s * 1000):
            if descriptor != self._probe.socket.fileno():
                continue
            data = self._probe.receive()
            if not data:
                self.ended = True
            for frame in self._splitter.feed(data):
                event = self._take(frame)
                if event is not None and event.state == "detached":
                    self.probe_died = False
        every_s = URGENT_FLUSH_EVERY_S if self._is_urgent else FLUSH_EVERY_S
        if time.monotonic() - self._flushed_at >= every_s:
            self.flush()

    @property
    def _is_urgent(self) -> bool:
        return self._pipeline is not None and self._pipeline.urgent

    def flush(self) -> None:
        """Write what is new."""
        self._record(RecordingWriter.flush)
        if self._raw is not None:
            self._raw.flush()
        if self._pipeline is not None:
            self._write(self._pipeline.take())
        self._flushed_at = time.monotonic()
        self.flushes += 1

    def stop(self) -> None:
        """Detach, take everything that was captured until then, and write it."""
        try:
            self._probe.control("stop")
        except OSError:
            pass  # it is gone; what it sent is still in the socket
        while not self.ended:
            self.pump(timeout_s=1.0)
        self._record(RecordingWriter.close)
        if self._raw is not None:
            self._raw.close()
        if self._pipeline is not None:
            self._write(self._pipeline.finish())


def replay(
    reader: RecordingReader,
    pipeline: Pipeline,
    write: Write,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Take a recording through the pipeline; the number of frames.

    The last batch holds what the end of the recording cut. `progress` is told now and then how
    many bytes of the file were read.
    """
    count = unwritten_bytes = 0
    for frame in reader.frames():
        pipeline.feed(frame)
        count += 1
        unwritten_bytes += len(frame)
        if count % WRITES_EVERY_FRAMES == 0 or unwritten_bytes >= WRITES_EVERY_BYTES:
            write(pipeline.take())
            unwritten_bytes = 0
        if progress is not None and count % _TOLD_EVERY_FRAMES == 0:
            progress(reader.read_bytes)
    write(pipeline.take())
    write(pipeline.finish())
    if progress is not None:
        progress(reader.read_bytes)
    return count
