"""Content of sensitive files, seen again in what processes send.

In: reads of sensitive files (`collector.read_content`); LLM requests, all other HTTP requests,
messages of WebSockets and of JSON-RPC on channels. Out: `ContentSightingRow`. Nothing is kept or
looked at until a process of the same tree has read a sensitive file. What was sent is looked at
as it stands in frames, where keys may be masked: a mask carries half of the key's fingerprint, so
recordings, in which nothing else is left, tell the same as live capture.

A sighting needs one unit that looks drawn by lot (`content_units.is_strong`), or at least half of
what was read of the file. Left out is what credentials are for: in a credential header, or a token
request (RFC 6749 section 4), from the very process that read the file.

Not seen: what a connection sends that was left to the kernel to ignore before the file was read.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from collector.capture_info import CaptureInfo
from collector.content_units import MASK, may_hold_keys, units_of
from collector.exchange import Exchange, SocketMessage
from collector.fingerprints import Fingerprinter
from collector.http.codings import ContentDecoder
from collector.http.events import header
from collector.llm.model import LlmRequest
from collector.processes import ProcessTable
from collector.read_content import Known, Process, ReadFile, SensitiveReads
from collector.redaction import TextRedactor
from collector.rows import Batch, CallRow, ContentSightingRow
from collector.rpc_messages import RpcMessage
from collector.rpc_pairs import role_of_sender
from collector.secret_shapes import is_credential_header
from collector.sent_text import readings, strings_of
from probes.events import ContentFingerprints, Direction, FileTouched

BODY_LIMIT_BYTES = 1 << 20  # of one request that is no call
HELD_LIMIT_BYTES = 64 << 20  # of all of them that are under way
CALL_LIMIT_BYTES = 1 << 20  # of what is new in one call, the last messages first
_LOOKED_AT_TEXTS = 50_000
_SIGHTED = 10_000
_PLAIN_HEADERS = frozenset({"host", "content-length", "content-type", "accept", ":authority"})
_TOKEN_REQUEST = b"grant_type"


@dataclass(slots=True)
class _Sent:
    """A request body under way."""

    process: Process
    content: ContentDecoder
    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    skipped: bool = False  # the rest of it, as too much was under way


@dataclass(frozen=True, slots=True)
class _Where:
    """What was sent, by whom and to whom."""

    process: Process
    ktime_ns: int
    exchange: str  # tells it from others
    call_id: str | None = None
    host: str | None = None
    url_path: str | None = None


class ContentSightings:
    """Looks for what was read in what is sent. Not thread-safe."""

    def __init__(
        self,
        info: CaptureInfo,
        processes: ProcessTable,
        fingerprinter: Fingerprinter,
        redact: TextRedactor,
    ) -> None:
        self._info = info
        self._processes = processes
        self._redact = redact
        self._fingerprinter = fingerprinter
        self._reads = SensitiveReads(info, processes)
        self._rows: dict[str, ContentSightingRow] = {}
        self._sighted: OrderedDict[str, None] = OrderedDict()
        self._looked_at: OrderedDict[bytes, None] = OrderedDict()
        self._held_bytes = 0
        self._looks: Counter[str] = Counter()

    def take(self, batch: Batch) -> None:
        """Add the rows that are new."""
        batch.content_sightings += self._rows.values()
        self._rows = {}

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Health counters: (source, counter, cause) -> value."""
        all_counts = self._reads.counts + self._looks
        return {("content", counter, ""): value for counter, value in all_counts.items()}

    # What is read

    def touched(self, event: FileTouched) -> None:
        """A file was opened, perhaps one of which content will be told."""
        self._reads.touched(event)

    def read(self, event: ContentFingerprints) -> None:
        """A process has read from a sensitive file."""
        self._reads.read(event)

    # What is sent: LLM calls

    def call(self, row: CallRow, exchange: Exchange, request: LlmRequest, resent: int) -> None:
        """A request to a model began; `resent` of its messages were in an earlier one."""
        process = exchange.connection.tgid, exchange.connection.start_ns
        known = self._reads.known_to(process)
        if known is None:
            return
        fresh: list[bytes] = []
        room = CALL_LIMIT_BYTES
        messages = list(request.messages)[resent:]
        for text in strings_of([*reversed(messages), *request.system]):
            data = text.encode("utf-8", "replace")[:room]
            if self._is_new(row.session_id, data):
                room -= len(data)
                fresh.append(data)
        where = _Where(
            process, exchange.request.ktime_ns, row.call_id, call_id=row.call_id, host=row.host
        )
        self._look(where, known, "message", fresh)

    def _is_new(self, session_id: str, text: bytes) -> bool:
        """A text is looked at once a session: agents resend, and mark what they resend."""
        if len(text) < 8:
            return False
        key = blake2b(text, digest_size=16, key=session_id.encode()[:64]).digest()
        if key in self._looked_at:
            return False
        self._looked_at[key] = None
        if len(self._looked_at) > _LOOKED_AT_TEXTS:
            self._looked_at.popitem(last=False)
        return True

    # Other exchanges

    def watches(self, exchange: Exchange) -> bool:
        """Is what this connection sends looked at?"""
        connection = exchange.connection
        return self._reads.known_to((connection.tgid, connection.start_ns)) is not None

    def request_started(self, exchange: Exchange) -> None:
        """The head was read."""
        if not self._reads.any:
            return
        process = exchange.connection.tgid, exchange.connection.start_ns
        if self._reads.known_to(process) is not None:
            coding = header(exchange.request.headers, "content-encoding")
            exchange.sent = _Sent(process, ContentDecoder(coding, BODY_LIMIT_BYTES))

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Body bytes, still content-coded."""
        sent: _Sent | None = exchange.sent
        if sent is None or sent.skipped or sent.size_bytes >= BODY_LIMIT_BYTES:
            return
        if self._held_bytes > HELD_LIMIT_BYTES:
            sent.skipped = True
            self._looks["skipped_bodies"] += 1
            return
        undecoded = sent.content.failed == "unknown_coding"
        plain = data[: BODY_LIMIT_BYTES - sent.size_bytes] if undecoded else sent.content.feed(data)
        sent.parts.append(plain)
        sent.size_bytes += len(plain)
        self._held_bytes += len(plain)

    def request_ended(self, exchange: Exchange, *, is_call: bool) -> None:
        """Nothing more of the request comes. Calls are told by `call`."""
        sent: _Sent | None = exchange.sent
        if sent is None:
            return
        exchange.sent = None
        self._held_bytes -= sent.size_bytes
        known = self._reads.known_to(sent.process)
        if is_call or known is None:
            return
        head = exchange.request
        path, _, query = head.target.partition("?")
        key = exchange.connection
        where = _Where(
            sent.process,
            head.ktime_ns,
            f"{key.tgid}:{key.start_ns}:{key.handle}:{key.epoch}:{exchange.number}",
            host=header(head.headers, "host") or header(head.headers, ":authority"),
            url_path=path,
        )
        body = b"".join(sent.parts)
        use = _TOKEN_REQUEST in body
        if self._look(
            replace(where, url_path=None), known, "url", [path.encode("latin-1", "replace")]
        ):
            where = replace(where, url_path=None)
        self._look(where, known, "url", [_form(query)])
        self._look(where, known, "body", [body], use=use)
        for name, value in head.headers:
            if name not in _PLAIN_HEADERS:
                use = is_credential_header(name.encode("latin-1", "replace"))
                text = value.encode("latin-1", "replace")
                self._look(where, known, "credential" if use else "header", [text], use=use)

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """A message of a WebSocket that carries no calls."""
        process = exchange.connection.tgid, exchange.connection.start_ns
        if message.direction != Direction.WRITE or message.data is None:
            return
        known = self._reads.known_to(process)
        if known is not None:
            head, key = exchange.request, exchange.connection
            where = _Where(
                process,
                message.last_ns,
                f"{key.tgid}:{key.start_ns}:{key.handle}:{key.epoch}:{message.first_ns}",
                host=header(head.headers, "host") or header(head.headers, ":authority"),
                url_path=head.target.partition("?")[0],
            )
            self._look(where, known, "body", [message.data[:BODY_LIMIT_BYTES]])

    # JSON-RPC on channels

    def rpc(self, channel_id: str, writer: Process | None, message: RpcMessage) -> None:
        """A message was written to a server's input."""
        if not self._reads.any or writer is None or message.text is None:
            return
        if role_of_sender(message.method) == "client":
            known = self._reads.known_to(writer)
            if known is not None:
                name = f"{channel_id}:{message.position}:{message.batch_index}"
                where = _Where(writer, message.last_ns, name)
                self._look(where, known, "rpc", [message.text[:BODY_LIMIT_BYTES]])

    # Looking

    def _look(
        self,
        where: _Where,
        known: Known,
        place: str,
        texts: Iterable[bytes],
        *,
        use: bool = False,
    ) -> bool:
        """Look into texts; was there anything? `use`: they are where credentials are used."""
        seen: dict[int, tuple[ReadFile, dict[int, str]]] = {}
        lines: set[bytes] = set()
        for text in texts:
            if not text:
                continue
            self._looks["looked_at_bytes"] += len(text)
            for encoding, reading in readings(text):
                for one, file in self._found(known, reading, lines):
                    seen.setdefault(id(file), (file, {}))[1].setdefault(one, encoding)
        sighted = False
        for file, matched in seen.values():
            ((encoding, _),) = Counter(matched.values()).most_common(1)
            size, joined = known.sizes[id(file)], known.joined[id(file)]
            if joined.isdisjoint(matched) and not is_convincing(matched, size):
                continue
            if use and where.process in file.readers:
                self._looks["credentials_used"] += 1
            else:
                sighted = True
                self._sight(where, place, file, encoding, min(len(matched), size), size)
        return sighted

    def _found(
        self, known: Known, text: bytes, lines: set[bytes]
    ) -> Iterable[tuple[int, ReadFile]]:
        """Fingerprints in a text, each with its file; `lines` were looked at already."""
        of_unit, keys = self._fingerprinter.of_unit, may_hold_keys(text)
        for unit in set(units_of(text, lines)):
            one = of_unit(unit, keys=keys)
            for file in known.whole.get(one, ()):
                yield one, file
        if b"[redacted:" in text:
            for mask in MASK.finditer(text):
                yield from known.masked.get(int(mask.group(1), 16), ())

    def _sight(
        self, where: _Where, place: str, file: ReadFile, encoding: str, matched: int, size: int
    ) -> None:
        reader = file.reader_for(where.process)
        named = f"{where.exchange}:{place}:{file.device}:{file.inode}"
        sighting_id = blake2b(
            f"{self._info.capture_id}:{named}".encode(), digest_size=8
        ).hexdigest()
        if sighting_id in self._sighted:
            return
        self._sighted[sighting_id] = None
        if len(self._sighted) > _SIGHTED:
            self._sighted.popitem(last=False)
        pid, start_ns = where.process
        self._rows[sighting_id] = ContentSightingRow(
            sighting_id=sighting_id,
            capture_id=self._info.capture_id,
            path=None if file.path is None else self._redact(file.path),
            sensitive=file.sensitive,
            read_process_key=reader.process_key,
            read_ns=reader.read_ns,
            process_key=self._processes.key_at(pid, start_ns, where.ktime_ns),
            pid=pid,
            sent_ns=self._info.wall_ns(where.ktime_ns),
            call_id=where.call_id,
            host=where.host,
            url_path=None if where.url_path is None else self._redact(where.url_path),
            encoding=encoding,
            matched=matched,
            known=size,
            place=place,
        )


def is_convincing(matched: Iterable[int], known: int) -> bool:
    """Are these fingerprints, of so many that are known of a file, no chance? The last bit of a
    fingerprint says that it is strong."""
    found: Sequence[int] = tuple(matched)
    if any(one & 1 for one in found):
        return True
    return 2 * len(found) >= known and (len(found) > 1 or len(found) == known == 1)


def _form(query: str) -> bytes:
    return query.replace("&", "\n").encode("latin-1", "replace")
