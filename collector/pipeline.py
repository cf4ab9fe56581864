"""The pipeline, wired on one page.

    frame -> event -> byte stream -> (halves) -> HTTP exchange -> LLM call ----> batch of rows
                   |              |                            -> provider request ---^
                   |              |                            -> JSON-RPC message ---^
                   |              -> JSON-RPC message of a channel -------------------^
                   -> process table, coverage ------------------------------^
                   -> file, network and privilege events ------------------^

In: redacted frames, live or recorded. Out: `Batch`es for the store, and connections that the
kernel may ignore. No clock, no thread, no file: the same frames give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable

from collector.calls import CallTracker
from collector.capture_info import CaptureInfo
from collector.channels import ChannelTracker, is_channel
from collector.connections import Connections
from collector.content_sightings import ContentSightings
from collector.coverage import Coverage
from collector.exchange import HttpCounters
from collector.exchange_router import ExchangeRouter
from collector.file_events import FileEvents
from collector.fingerprints import Fingerprinter
from collector.health import health_rows
from collector.network_events import NetworkEvents
from collector.pricing import Override
from collector.privilege_changes import PrivilegeChanges
from collector.processes import ProcessTable
from collector.provider_requests import ProviderRequests
from collector.redaction import HeaderRedactor, TextRedactor, without_secrets
from collector.rows import Batch, CaptureRow, HealthRow
from collector.rpc_http import RpcHttp
from collector.running_answers import RunningAnswers
from collector.streams import StreamAssembler
from probes import frames
from probes.events import (
    ChannelEnd,
    Connected,
    ConnectionClosed,
    ConnectionKey,
    ConnectionOpened,
    ContentFingerprints,
    Counters,
    CredentialsChanged,
    DnsAnswered,
    FileTouched,
    HalfJoined,
    LibrarySeen,
    PlainData,
    ProbeState,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    ProcessPath,
    ProcessSeen,
    ProcessTraffic,
    TlsHello,
    UnknownFrame,
)


class Pipeline:
    """All stages of one capture. `header_value` masks headers that frames hold compressed;
    without the `fingerprinter` that made those in frames, no content of files is recognised.
    `redact_growing` masks what running calls have said, which is told while they run; without it
    it is not."""

    def __init__(
        self,
        info: CaptureInfo,
        redact: TextRedactor,
        *,
        content: bool = True,
        overrides: tuple[Override, ...] = (),
        ignore: Callable[[ConnectionKey], None] | None = None,
        header_value: HeaderRedactor = without_secrets,
        fingerprinter: Fingerprinter | None = None,
        redact_growing: TextRedactor | None = None,
    ) -> None:
        self._info = info
        self._streams = StreamAssembler()
        self._http = HttpCounters()
        self._processes = ProcessTable(info)
        self._coverage = Coverage(info, self._processes)
        self._files = FileEvents(info, self._processes, redact)
        self._network = NetworkEvents(info, self._processes, redact)
        self._privileges = PrivilegeChanges(info, self._processes)
        sightings = None
        if fingerprinter is not None:
            sightings = ContentSightings(info, self._processes, fingerprinter, redact)
        self._sightings = sightings
        self._connections = Connections(
            self._streams,
            self._http,
            self._processes,
            self._coverage,
            ignore=ignore,
            header_value=header_value,
        )
        self._calls = CallTracker(
            info,
            self._processes,
            redact,
            content=content,
            overrides=overrides,
            undecoded=self._http.undecoded,
            sightings=sightings,
            running_answers=RunningAnswers(redact_growing) if redact_growing else None,
        )
        self._requests = ProviderRequests(info, self._processes, redact, content=content)
        self._rpc = RpcHttp(
            info, self._processes, redact, content=content, undecoded=self._http.undecoded
        )
        self._connections.observer = ExchangeRouter(
            (self._calls, self._requests, self._rpc),
            self._connections,
            started=self._network.request,
            witness=sightings,
        )
        self._channels = ChannelTracker(
            info,
            self._processes,
            self._streams,
            redact,
            content=content,
            ignore=ignore,
            sightings=sightings,
        )
        self._kernel: dict[str, int] = {}
        self._own: dict[tuple[str, str, str], int] = {}
        self._told: set[HealthRow | CaptureRow] = set()
        self._last_ktime_ns = 0
        self._ended = False
        self._handlers: dict[type, Callable[..., None]] = {
            PlainData: self._plain_data,
            ConnectionOpened: self._opened,
            ConnectionClosed: self._closed,
            HalfJoined: self._connections.joined,
            TlsHello: self._hello,
            ProcessTraffic: self._coverage.traffic,
            ChannelEnd: self._channels.end,
            ProcessSeen: self._processes.seen,
            ProcessForked: self._processes.forked,
            ProcessExecuted: self._executed,
            ProcessPath: self._processes.path,
            ProcessExited: self._exited,
            FileTouched: self._touched,
            ContentFingerprints: self._content_read,
            Connected: self._network.connected,
            DnsAnswered: self._network.answered,
            CredentialsChanged: self._privileges.changed,
            LibrarySeen: self._library,
            Counters: self._counters,
            ProbeState: self._probe_state,
            UnknownFrame: self._unknown,
        }

    def feed(self, frame: bytes) -> None:
        """Take one redacted frame through every stage."""
        event = frames.decode(frame)
        self._last_ktime_ns = max(self._last_ktime_ns, event.ktime_ns)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    @property
    def urgent(self) -> bool:
        """Is there something to be stored soon, as analysis may raise an alarm about it?"""
        return self._calls.answered

    def take(self) -> Batch:
        """The rows that are new or changed since the last call."""
        batch = self._calls.take()
        batch.processes = self._processes.take()
        self._channels.take(batch)
        self._own.update(self._channels.counts())
        self._requests.take(batch)
        self._rpc.take(batch)
        self._own.update(self._rpc.counts())
        batch.coverage = self._coverage.take(self._streams)
        self._take_actions(batch)
        for why, number in self._connections.ignored.items():
            self._own["http", "connections_ignored", why] = number
        health = health_rows(
            self._info.capture_id, self._kernel, self._streams, self._http, self._own
        )
        batch.health = [row for row in health if row not in self._told]
        batch.captures = [row for row in (self._capture(),) if row not in self._told]
        self._told = {*health, self._capture()}
        return batch

    def _take_actions(self, batch: Batch) -> None:
        batch.file_events = self._files.take()
        batch.network_events = self._network.take()
        batch.privilege_changes = self._privileges.take()
        if self._sightings is not None:
            self._sightings.take(batch)
            self._own.update(self._sightings.counts())
        self._own["file", "received_events", ""] = self._files.received
        self._own["network", "received_events", ""] = self._network.received
        self._own["privilege", "received_events", ""] = self._privileges.received
        self._own["dns", "received_events", ""] = self._network.answers
        self._own["dns", "undecoded_events", "no_answer"] = self._network.undecoded_answers

    def finish(self) -> Batch:
        """End of the capture: what is still open is incomplete."""
        self._rpc.finish()
        self._connections.finish(self._last_ktime_ns)
        self._channels.finish(self._last_ktime_ns)
        self._ended = True
        return self.take()

    def _capture(self) -> CaptureRow:
        info = self._info
        ended_ns = info.wall_ns(self._last_ktime_ns) if self._ended else None
        return CaptureRow(
            info.capture_id,
            info.started_ns,
            ended_ns,
            info.command,
            info.version,
            info.boot_id,
            info.kernel,
        )

    def _count(self, source: str, counter: str, cause: str = "", amount: int = 1) -> None:
        key = (source, counter, cause)
        self._own[key] = self._own.get(key, 0) + amount

    # Byte streams

    def _plain_data(self, event: PlainData) -> None:
        if is_channel(event.connection):
            self._channels.data(event)
        else:
            self._connections.data(event)

    def _opened(self, event: ConnectionOpened) -> None:
        if is_channel(event.connection):
            self._streams.opened(event)
        else:
            self._connections.opened(event)

    def _closed(self, event: ConnectionClosed) -> None:
        if is_channel(event.connection):
            self._channels.closed(event)
        else:
            self._connections.closed(event)

    def _hello(self, event: TlsHello) -> None:
        self._coverage.hello(event)
        self._network.hello(event)

    # Processes

    def _executed(self, event: ProcessExecuted) -> None:
        self._coverage.executed(event.pid)
        self._processes.executed(event)

    def _exited(self, event: ProcessExited) -> None:
        self._coverage.exited(event.pid)
        self._processes.exited(event)

    # Files

    def _touched(self, event: FileTouched) -> None:
        self._files.touched(event)
        if self._sightings is not None:
            self._sightings.touched(event)

    def _content_read(self, event: ContentFingerprints) -> None:
        if self._sightings is not None:
            self._sightings.read(event)

    # What the probe says of itself

    def _library(self, event: LibrarySeen) -> None:
        self._coverage.library(event)
        hooked, not_hooked = self._coverage.hooked_files
        self._own["probe", "tls_libraries", "hooked"] = hooked
        self._own["probe", "tls_libraries", "not_hooked"] = not_hooked

    def _counters(self, event: Counters) -> None:
        self._kernel = event.values

    def _probe_state(self, event: ProbeState) -> None:
        if event.attached:
            self._own["probe", "attached_probes", ""] = event.attached
        if event.left_out is not None:
            self._processes.give_away(event.left_out[1])

    def _unknown(self, event: UnknownFrame) -> None:
        self._count("probe", "unknown_frames", str(event.kind))
