"""Connections, folded, and the names of their addresses."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import host_names, network_events
from collector.exchange import Exchange
from collector.folding import MAX_PAUSE_NS
from collector.host_names import as_host_name
from collector.http.events import RequestHead
from collector.network_events import NetworkEvents
from collector.origin import Origin
from collector.processes import ProcessTable
from collector.redaction import Redactor
from collector.rows import NetworkEventRow
from probes import frames
from probes.events import (
    Connected,
    ConnectionKey,
    DnsAnswered,
    ProcessForked,
    SocketAddresses,
    Source,
    TlsHello,
)
from tests.action_frames import (
    ASKED,
    CNAME,
    address_record,
    answer_to,
    connect,
    dns_message,
    name_bytes,
    record,
)
from tests.collector.test_client_hello import client_hello
from tests.frames import AGENT, API_KEY, INFO, SALT, STARTED_NS, forked

HERE = "192.0.2.7"
SIBLING, CHILD, STRANGER = 50, 60, 70
Event = Connected | DnsAnswered | TlsHello | Exchange


def ends(address: str, port: int = 443) -> SocketAddresses:
    return SocketAddresses("10.0.0.1", 40000, address, port)


def hello(
    name: str, address: str | None, at: int = 0, *, inode: int = 77, pid: int = AGENT
) -> TlsHello:
    key = ConnectionKey(pid, STARTED_NS, inode, 1)
    return TlsHello(at, key, ends(address) if address else None, client_hello(name))


def request(
    host: str, address: str, *, inode: int = 77, target: str = "/", method: str = "GET"
) -> Exchange:
    head = RequestHead(0, method, target, "1.1", (("host", host),))
    origin = Origin(Source.SOCKET, ends(address, 80))
    return Exchange(ConnectionKey(AGENT, STARTED_NS, inode, 1), 1, head, origin=origin)


class Stage:
    """A tree (AGENT with CHILD and SIBLING) and a process beside it."""

    def __init__(self) -> None:
        self.processes = ProcessTable(INFO)
        for pid, ppid in ((AGENT, 1), (CHILD, AGENT), (SIBLING, AGENT), (STRANGER, 2)):
            event = frames.decode(forked(pid, ppid))
            assert isinstance(event, ProcessForked)
            self.processes.forked(event)
        self.network = NetworkEvents(INFO, self.processes, Redactor(SALT).redact_text)
        self.stored: dict[str, NetworkEventRow] = {}

    def tell(self, *events: Event, takes: bool = False) -> Stage:
        for event in events:
            if isinstance(event, Connected):
                self.network.connected(event)
            elif isinstance(event, DnsAnswered):
                self.network.answered(event)
            elif isinstance(event, TlsHello):
                self.network.hello(event)
            else:
                self.network.request(event)
            if takes:
                self.take()
        return self

    def take(self) -> None:
        self.stored.update((row.network_event_id, row) for row in self.network.take())

    @property
    def rows(self) -> list[NetworkEventRow]:
        self.take()
        return list(self.stored.values())

    @property
    def names(self) -> list[tuple[str | None, str | None]]:
        return [(row.name, row.name_source) for row in self.rows]


def names_of(*events: Event) -> list[tuple[str | None, str | None]]:
    """Names after these events, for which it makes no difference when rows are taken."""
    names = Stage().tell(*events).names
    assert Stage().tell(*events, takes=True).names == names
    return names


def test_a_connection() -> None:
    (row,) = Stage().tell(connect(HERE, at=5, result=-111)).rows
    assert asdict(row) == {
        "network_event_id": row.network_event_id,
        "capture_id": INFO.capture_id,
        "process_key": ProcessTable(INFO).key(AGENT, STARTED_NS),
        "pid": AGENT,
        "first_ns": INFO.wall_ns(5),
        "last_ns": INFO.wall_ns(5),
        "count": 1,
        "transport": "tcp",
        "address": HERE,
        "port": 443,
        "name": None,
        "name_source": None,
        "error": "ECONNREFUSED",
    }


def test_a_connection_under_way_has_no_error() -> None:
    rows = Stage().tell(connect(HERE, at=1, result=-115), connect(HERE, at=2)).rows
    assert [row.error for row in rows] == [None, None]


def test_unix_sockets_have_a_path_and_no_port() -> None:
    key = API_KEY.decode()
    events: list[Event] = [
        connect(f"/run/{key}", 0, 1, transport="unix", result=-2),
        connect("@abstract", 0, 2, transport="unix"),
        connect("@abstract", 0, 3, transport="unix"),
    ]
    secret, abstract = Stage().tell(*events).rows
    assert key not in secret.address
    assert (secret.port, secret.error) == (None, "ENOENT")
    assert (abstract.address, abstract.port, abstract.count) == ("@abstract", None, 2)


def test_equal_events_in_a_row_are_one_row() -> None:
    failed: list[Event] = [connect(HERE, at=at, result=-111) for at in (1, 2, 3)]
    other: list[Event] = [
        connect(HERE, 444, 4, result=-111),
        connect(HERE, at=5),
        connect(HERE, at=6, result=-111),
    ]
    rows = Stage().tell(*failed, *other).rows
    assert [(row.port, row.error, row.count) for row in rows] == [
        (443, "ECONNREFUSED", 3),
        (444, "ECONNREFUSED", 1),
        (443, None, 1),
        (443, "ECONNREFUSED", 1),
    ]


def test_a_try_after_a_long_pause_is_a_row_with_the_same_name() -> None:
    at = (2, 2 + MAX_PAUSE_NS, 3 + 2 * MAX_PAUSE_NS)
    tries: list[Event] = [connect(HERE, at=one, result=-111) for one in at]
    rows = Stage().tell(answer_to("a.example", HERE, at=1), *tries).rows
    assert [(row.first_ns - rows[0].first_ns, row.count, row.name) for row in rows] == [
        (0, 2, "a.example"),
        (2 * MAX_PAUSE_NS + 1, 1, "a.example"),
    ]


def test_connections_by_a_name_are_folded_and_others_are_not() -> None:
    named: list[Event] = [
        answer_to("a.example", HERE, at=1),
        *(connect(HERE, at=at) for at in (2, 3, 4)),
    ]
    (row,) = Stage().tell(*named).rows
    assert (row.name, row.count) == ("a.example", 3)
    assert len(Stage().tell(*named[1:]).rows) == 3


# Names by DNS


def test_the_name_that_the_process_was_told() -> None:
    events: list[Event] = [answer_to("Api.Example", HERE, at=1), connect(HERE, at=2)]
    assert names_of(*events) == [("api.example", "dns")]


def test_the_name_is_the_one_that_was_asked_for() -> None:
    alias = name_bytes("edge.cdn.example")
    message = dns_message("www.example", record(ASKED, CNAME, alias), address_record(HERE, alias))
    assert names_of(DnsAnswered(1, AGENT, STARTED_NS, message), connect(HERE, at=2)) == [
        ("www.example", "dns")
    ]


def test_the_newest_answer_counts() -> None:
    events: list[Event] = [
        answer_to("a.example", HERE, at=1), connect(HERE, at=2),
        answer_to("b.example", HERE, at=3), connect(HERE, at=4),
    ]  # fmt: skip
    assert names_of(*events) == [("a.example", "dns"), ("b.example", "dns")]


def test_what_the_process_was_told_goes_before_its_tree_and_that_before_all() -> None:
    stranger = answer_to("stranger.example", HERE, at=3, pid=STRANGER)
    sibling = answer_to("sibling.example", HERE, at=2, pid=SIBLING)
    own = answer_to("own.example", HERE, at=1, pid=CHILD)
    by_child = connect(HERE, at=9, pid=CHILD)
    assert names_of(own, sibling, stranger, by_child) == [("own.example", "dns")]
    assert names_of(sibling, stranger, by_child) == [("sibling.example", "dns")]
    assert names_of(stranger, by_child) == [("stranger.example", "dns")]


def test_an_answer_after_the_connection_names_nothing() -> None:
    events: list[Event] = [connect(HERE, at=2), answer_to("a.example", HERE, at=3)]
    assert names_of(*events) == [(None, None)]
    assert names_of(*reversed(events)) == [(None, None)]


def test_an_answer_that_came_out_of_order_fills_rows_that_are_written() -> None:
    events: list[Event] = [connect(HERE, at=5, result=-111), answer_to("a.example", HERE, at=4)]
    assert names_of(*events) == [("a.example", "dns")]


def test_wrapped_ipv4_is_the_same_address() -> None:
    events: list[Event] = [answer_to("a.example", HERE, at=1), connect(f"::ffff:{HERE}", at=2)]
    assert names_of(*events) == [("a.example", "dns")]


def test_other_datagrams_name_nothing_and_are_counted() -> None:
    stage = Stage().tell(DnsAnswered(1, AGENT, STARTED_NS, b"no answer"), connect(HERE, at=2))
    assert stage.names == [(None, None)]
    assert (stage.network.answers, stage.network.undecoded_answers) == (1, 1)


# Names by TLS and HTTP


def test_the_server_that_tls_names() -> None:
    assert names_of(connect(HERE, at=1), hello("Api.Example", HERE, 2)) == [("api.example", "tls")]
    assert names_of(hello("api.example", HERE, 2), connect(HERE, at=1)) == [("api.example", "tls")]


def test_a_socket_without_addresses_is_known_by_its_inode() -> None:
    events: list[Event] = [connect(HERE, at=1, inode=5), connect(HERE, at=2, inode=6)]
    said = [hello("a.example", None, 3, inode=5), hello("b.example", None, 4, inode=6)]
    assert names_of(*events, *said) == [("a.example", "tls"), ("b.example", "tls")]
    assert names_of(*events, hello("c.example", None, 3, inode=9)) == [(None, None)] * 2


def test_what_the_socket_says_goes_before_dns() -> None:
    events: list[Event] = [
        answer_to("a.example", HERE, at=1),
        answer_to("b.example", HERE, at=2),
        connect(HERE, at=3, inode=5),
        hello("a.example", HERE, 4, inode=5),
    ]
    assert names_of(*events) == [("a.example", "tls")]
    agreeing: list[Event] = [*events[:3], hello("b.example", HERE, 4, inode=5)]
    assert names_of(*agreeing) == [("b.example", "dns")]


def test_another_socket_to_the_address_does_not_go_before_what_the_process_was_told() -> None:
    told: list[Event] = [answer_to("a.example", HERE, at=1), connect(HERE, at=3, inode=5)]
    assert names_of(*told, hello("b.example", HERE, 4, inode=6)) == [("a.example", "dns")]
    others: list[Event] = [
        answer_to("a.example", HERE, at=1, pid=STRANGER),
        connect(HERE, at=3, inode=5),
    ]
    assert names_of(*others, hello("b.example", HERE, 4, inode=6)) == [("b.example", "tls")]


def test_what_one_of_many_sockets_says_is_not_said_of_all() -> None:
    events: list[Event] = [
        answer_to("a.example", HERE, at=1),
        *(connect(HERE, at=at, inode=at) for at in (2, 3)),
    ]
    assert names_of(*events, hello("b.example", HERE, 4, inode=3)) == [("a.example", "dns")]


def test_other_processes_say_nothing_of_a_connection() -> None:
    assert names_of(connect(HERE, at=1), hello("a.example", HERE, 2, pid=CHILD)) == [(None, None)]


def test_the_host_of_an_http_request() -> None:
    assert names_of(connect(HERE, 80, 1), request("api.example:80", HERE)) == [
        ("api.example", "http")
    ]


@pytest.mark.parametrize(
    "asked",
    [
        request("192.0.2.7", HERE),
        request("[2001:db8::1]:80", HERE),
        request("api.example:443", HERE, method="CONNECT", target="api.example:443"),
        request("api.example", HERE, target="http://api.example/"),
        request("bad host!", HERE),
    ],
)
def test_addresses_and_hosts_that_a_proxy_is_told_name_nothing(asked: Exchange) -> None:
    assert names_of(connect(HERE, 80, 1), asked) == [(None, None)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("API.Example.com.", "api.example.com"),
        ("localhost", "localhost"),
        ("127.0.0.1", None),
        ("127.1", None),
        ("2130706433", None),
        ("::1", None),
        ("", None),
        (None, None),
        ("a" * 300, None),
    ],
)
def test_host_names(text: str | None, name: str | None) -> None:
    assert as_host_name(text) == name


NAMES, PLACES = ["a.example", "b.example"], [HERE, "192.0.2.8"]
ANY_EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda address, result, inode, pid: connect(
                address, result=result, inode=inode, pid=pid, tid=pid
            ),
            st.sampled_from(PLACES),
            st.sampled_from([0, -111, -115]),
            st.integers(0, 3),
            st.sampled_from([AGENT, CHILD]),
        ),
        st.builds(
            lambda name, address, pid: answer_to(name, address, pid=pid),
            st.sampled_from(NAMES),
            st.sampled_from(PLACES),
            st.sampled_from([AGENT, CHILD, STRANGER]),
        ),
        st.builds(
            lambda name, address, inode: hello(name, address, inode=inode),
            st.sampled_from(NAMES),
            st.sampled_from([*PLACES, None]),
            st.integers(1, 3),
        ),
    ),
    max_size=30,
)


@given(ANY_EVENTS, st.data())
def test_no_count_is_lost_and_batches_make_no_difference(
    made: list[Connected | DnsAnswered | TlsHello], data: st.DataObject
) -> None:
    events = [replace(event, ktime_ns=at) for at, event in enumerate(made)]
    stage = Stage().tell(*events)
    connects = sum(isinstance(event, Connected) for event in events)
    assert sum(row.count for row in stage.rows) == connects
    batched = Stage()
    for event in events:
        batched.tell(event, takes=data.draw(st.booleans()))
    assert batched.rows == stage.rows


# Bounds


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("OPEN_PLACES", "KNOWN_SOCKETS", "UNNAMED_ROWS"):
        monkeypatch.setattr(network_events, limit, 4)
    monkeypatch.setattr(host_names, "KNOWN_ADDRESSES", 4)
    stage = Stage()
    for number in range(200):
        address = f"192.0.2.{number}"
        stage.tell(
            answer_to("a.example", f"198.51.100.{number}", at=number),
            connect(address, at=number, inode=number + 1),
            hello("b.example", f"203.0.113.{number}", inode=number + 1000),
        )
    network = stage.network
    for held in (
        network._folding, network._names._told, network._newest, network._of_socket,
        network._unnamed, network._spoken,
    ):  # fmt: skip
        assert len(held) <= 4
    assert sum(row.count for row in stage.rows) == 200
