"""Links: what a process and a server over HTTP say to each other, in one session.

In: who exchanges with which URL, and the messages of each exchange. Out: channel rows, two a link,
and messages paired with their requests. Which link an exchange belongs to is told by the MCP
session that its head names; by the endpoint that an HTTP+SSE server told its client; else it is
the last link of that process with that URL. Ids are the clients' own, so nothing is paired across
links. Memory is bounded: of too many links the one used longest ago is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import NamedTuple, TypeVar
from urllib.parse import urljoin

from collector import a2a
from collector.capture_info import CaptureInfo
from collector.conversations import digest
from collector.exchange import Exchange
from collector.http.events import RequestHead, header
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.rows import RpcChannelRow, RpcMessageRow
from collector.rpc_about import MCP, About, about_card
from collector.rpc_pairs import Pair, Process, answered
from collector.rpc_rows import RpcRows

LINKS = 1000
ENDPOINTS = 1000
CARDS = 1000
FACTS = 16
MAX_ENDPOINT_BYTES = 4096
SERVER = Process(0, 0)  # whichever process it is, it is not seen
HTTP, SSE = "http", "sse"

_End = tuple[int | None, str | None, int | None, str | None]  # pid, key, start and name
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Address(NamedTuple):
    """Where a request goes. `target`: path and query."""

    authority: str
    target: str

    @property
    def url(self) -> str:
        """Host, port and path."""
        return self.authority + self.target.partition("?")[0].partition("#")[0]


def address_of(head: RequestHead) -> Address:
    """The address in a head; parts that it does not name are empty."""
    authority = header(head.headers, "host") or header(head.headers, ":authority") or ""
    target = head.target
    if target.startswith(("http://", "https://")):
        named, slash, rest = target.partition("//")[2].partition("/")
        authority, target = authority or named, slash + rest
    return Address(authority.rpartition("@")[2].lower(), target)


class Link:
    """Both directions, and what is open on them."""

    def __init__(self, process: Process, asking: RpcChannelRow, answering: RpcChannelRow) -> None:
        self.process = process
        self.asking = asking
        self.answering = answering
        self.pair = Pair()
        self.used = False  # a message came, so that there are rows
        self._said: set[About] = set()

    @property
    def modern(self) -> bool:
        """Whether closing a response's stream gives up its request."""
        version = self.asking.protocol_version or ""
        return self.asking.protocol == MCP and "2026" <= version < "3"

    def heard(self, about: About) -> bool:
        """Is this fact new?"""
        if about in self._said:
            return False
        if len(self._said) < FACTS:
            self._said.add(about)
        return True


class Links:
    """All links of one capture."""

    def __init__(
        self, info: CaptureInfo, processes: ProcessTable, redact: TextRedactor, rows: RpcRows
    ) -> None:
        self._info = info
        self._processes = processes
        self._redact = redact
        self._rows = rows
        self._links: OrderedDict[tuple[Process, str, str | None], Link] = OrderedDict()
        self._endpoints: OrderedDict[tuple[Process, Address], Link] = OrderedDict()
        self._cards: OrderedDict[tuple[Process, str], About | None] = OrderedDict()

    # Which link

    def find(self, exchange: Exchange, url: str, session: str | None) -> Link:
        """The link of an exchange; a new one if there is none."""
        process = _process(exchange)
        key = (process, url, session)
        link = self._links.get(key)
        if link is None:
            link = self.begin(exchange, url, session)
        else:
            self._links.move_to_end(key)
        return link

    def begin(
        self, exchange: Exchange, url: str, session: str | None = None, transport: str = HTTP
    ) -> Link:
        """A new link, which takes the place of one with the same session, or of the one without."""
        process, connection = _process(exchange), exchange.connection
        named = (
            f"{self._info.capture_id}:{process.pid}:{process.start_ns}:{connection.handle}:"
            f"{connection.epoch}:{exchange.number}:{url}:{session or ''}"
        )
        own: _End = (
            process.pid,
            self._processes.key(*process),
            process.start_ns + self._info.boottime_offset_ns,
            self._processes.comm(process.pid),
        )
        asking, answering = (
            RpcChannelRow(
                "k" + digest(f"{named}:{sender}".encode())[:16],
                self._info.capture_id,
                None,
                transport,
                *writer,
                *reader,
                sender,
                url=self._redact(url),
            )
            for sender, writer, reader in (("client", own, _NOBODY), ("server", _NOBODY, own))
        )
        link = Link(process, asking, answering)
        if session is not None:
            self._name_session(link, session)
        _keep(self._links, (process, url, session), link, LINKS)
        card = self._card_for(process, url)
        if card is not None:
            self.tell(link, card)
        return link

    def joins_session(self, exchange: Exchange, link: Link, url: str, session: str) -> None:
        """The server gave the link's session a name, which later requests carry."""
        process = _process(exchange)
        self._name_session(link, session)
        if self._links.get((process, url, None)) is link:
            del self._links[process, url, None]
        _keep(self._links, (process, url, session), link, LINKS)

    def endpoint(self, exchange: Exchange, link: Link, data: bytes) -> None:
        """HTTP+SSE: the server told where its client is to send messages."""
        own = address_of(exchange.request)
        told = data[:MAX_ENDPOINT_BYTES].decode("utf-8", "replace").strip()
        try:
            absolute = urljoin(f"http://{own.authority}{own.target}", told)
        except ValueError:
            return
        named, slash, rest = absolute.partition("//")[2].partition("/")
        place = self._comparable(Address(named.lower(), slash + rest))
        _keep(self._endpoints, (_process(exchange), place), link, ENDPOINTS)
        session = told.partition("?")[2].partition("=")[2].partition("&")[0]
        if session:
            self._name_session(link, session)

    def at_endpoint(self, exchange: Exchange) -> Link | None:
        """The link whose server told its client to send to this address."""
        if not self._endpoints:
            return None
        place = self._comparable(address_of(exchange.request))
        return self._endpoints.get((_process(exchange), place))

    def _comparable(self, place: Address) -> Address:
        return Address(place.authority, self._redact(place.target))

    def _name_session(self, link: Link, session: str) -> None:
        fingerprint = digest(b"mcp-session", session.encode("utf-8", "replace"))[:16]
        self._set(
            link,
            replace(link.asking, mcp_session=fingerprint),
            replace(link.answering, mcp_session=fingerprint),
        )

    # Who speaks

    def card(self, exchange: Exchange, card: a2a.Card) -> None:
        """An agent described itself, and where it can be reached."""
        process = _process(exchange)
        authority = address_of(exchange.request).authority
        for place, version in card.interfaces.items():
            url = place.partition("//")[2].rstrip("/").lower() or place
            said = about_card(card._replace(protocol_version=version or card.protocol_version))
            _keep(self._cards, (process, url), said, CARDS)
        host = (process, "//" + authority)
        known = self._cards.get(host, _NO_CARD)
        own = about_card(card)
        unique = own if known is _NO_CARD or known == own else None
        _keep(self._cards, host, unique, CARDS)
        for (client, url, _), link in list(self._links.items()):
            if client == process:
                said_there = self._card_for(process, url)
                if said_there is not None:
                    self.tell(link, said_there)

    def _card_for(self, process: Process, url: str) -> About | None:
        """What the agent at a URL said of itself; of a host with one agent, what that said."""
        place = url.rstrip("/").lower()
        exact = self._cards.get((process, place))
        return exact or self._cards.get((process, "//" + place.partition("/")[0]))

    def tell(self, link: Link, about: About) -> None:
        """A message or a head says who speaks, which holds for both directions."""
        about = about.of_channel()
        if link.heard(about):
            self._set(
                link,
                self._rows.told(link.asking, about),
                self._rows.told(link.answering, about),
            )

    def _set(self, link: Link, asking: RpcChannelRow, answering: RpcChannelRow) -> None:
        changed = (asking, answering) != (link.asking, link.answering)
        link.asking, link.answering = asking, answering
        if link.used and changed:
            self._rows.channel(asking)
            self._rows.channel(answering)

    # Messages

    def use(self, link: Link) -> None:
        """A message came."""
        if not link.used:
            link.used = True
            self._rows.channel(link.asking)
            self._rows.channel(link.answering)

    def paired(
        self,
        link: Link,
        row: RpcMessageRow,
        *,
        to_server: bool,
        asked: dict[str, RpcMessageRow],
        cancels: str | None = None,
    ) -> str | None:
        """Pair a message. `asked`: the requests of its own exchange, by id, which come first.
        The id under which its request was asked there; None: it was not asked there."""
        writer, reader = (link.process, SERVER) if to_server else (SERVER, link.process)
        if not to_server and row.kind in ("response", "error"):
            key = row.rpc_id or ""
            if key not in asked and row.kind == "error" and len(asked) == 1:
                key = next(iter(asked))  # a server that could not tell the id
            request = asked.get(key)
            if request is not None:
                link.pair.settled(request, link.process)
                self._rows.put(answered(request, row))
                return key
        changed = link.pair.message(row, writer, reader, cancels)
        if changed is not None:
            self._rows.put(changed)
        return None

    def changed(self, link: Link, request: RpcMessageRow) -> None:
        """More is known of a request that the client sent."""
        self._rows.put(link.pair.changed(request, link.process))


_NO_CARD = About("none")
_NOBODY: _End = (None, None, None, None)


def _process(exchange: Exchange) -> Process:
    return Process(exchange.connection.tgid, exchange.connection.start_ns)


def _keep(known: OrderedDict[_Key, _Value], key: _Key, value: _Value, limit: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > limit:
        known.popitem(last=False)
