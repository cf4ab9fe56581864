"""Answers of the Domain Name System."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.dns_answers import DnsAnswer, dns_answer
from tests.action_frames import (
    AAAA,
    ASKED,
    CNAME,
    A,
    address_record,
    dns_message,
    name_bytes,
    record,
)


def test_addresses_of_the_name_that_was_asked_for() -> None:
    message = dns_message(
        "API.Example.com", address_record("192.0.2.7"), address_record("192.0.2.8")
    )
    assert dns_answer(message) == DnsAnswer("api.example.com", ("192.0.2.7", "192.0.2.8"))
    message = dns_message("v6.example", address_record("2001:db8::1"), kind=AAAA)
    assert dns_answer(message) == DnsAnswer("v6.example", ("2001:db8::1",))


def test_a_chain_of_aliases_leads_to_the_name_that_was_asked_for() -> None:
    first, second = name_bytes("edge.cdn.example"), name_bytes("host7.cdn.example")
    message = dns_message(
        "www.example.com",
        address_record("192.0.2.9", second),  # in any order
        record(ASKED, CNAME, first),
        record(first, CNAME, second),
        address_record("192.0.2.10", name_bytes("other.example")),
    )
    assert dns_answer(message) == DnsAnswer("www.example.com", ("192.0.2.9",))


def test_aliases_in_a_circle_end() -> None:
    alias = name_bytes("b.example")
    message = dns_message("a.example", record(ASKED, CNAME, alias), record(alias, CNAME, ASKED))
    assert dns_answer(message) == DnsAnswer("a.example", ())


def test_names_are_read_through_pointers_into_other_names() -> None:
    # "mail" followed by a pointer to "example.com" in the question
    owner = b"\x04mail" + struct.pack("!H", 0xC000 | 12 + 4)
    message = dns_message(
        "www.example.com", record(ASKED, CNAME, owner), address_record("192.0.2.1", owner)
    )
    assert dns_answer(message) == DnsAnswer("www.example.com", ("192.0.2.1",))


def test_other_records_are_passed_over() -> None:
    text = record(ASKED, 16, b"\x05hello")
    chaos = ASKED + struct.pack("!HHIH", A, 3, 60, 4) + bytes(4)
    odd = record(ASKED, A, b"\x01\x02\x03")
    message = dns_message("a.example", text, chaos, odd, address_record("192.0.2.3"))
    assert dns_answer(message) == DnsAnswer("a.example", ("192.0.2.3",))


def test_an_answer_that_tells_an_error_has_no_addresses() -> None:
    message = dns_message("no.example", address_record("192.0.2.3"), flags=0x8183)
    assert dns_answer(message) == DnsAnswer("no.example", ())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        bytes(11),
        dns_message("a.example", flags=0x0100),  # a question
        dns_message("a.example", questions=2),
        dns_message("a.example", questions=0),
        dns_message("a b.example", address_record("192.0.2.1")),  # no host name
        dns_message("-a.example", address_record("192.0.2.1")),
        struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + b"\xc0\x0c\0\1\0\1",  # points to itself
        struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + b"\x03a.b\0\0\1\0\1",  # a dot in a label
        struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + b"\x80abc\0\0\1\0\1",
        dns_message("x" * 63 + "." + ".".join(["y" * 63] * 4), address_record("192.0.2.1")),
    ],
)
def test_what_is_no_answer_is_none(message: bytes) -> None:
    assert dns_answer(message) is None


def test_of_a_message_that_is_cut_what_is_whole_counts() -> None:
    whole = dns_message("a.example", address_record("192.0.2.1"), address_record("192.0.2.2"))
    assert dns_answer(whole[:-1]) == DnsAnswer("a.example", ("192.0.2.1",))
    assert dns_answer(whole[:-20]) == DnsAnswer("a.example", ())
    more = dns_message("a.example", address_record("192.0.2.1"), count=9)
    assert dns_answer(more) == DnsAnswer("a.example", ("192.0.2.1",))


def test_pointers_that_lead_back_and_back_end() -> None:
    chain = b"\0" + b"".join(struct.pack("!H", 0xC000 | 13 + 2 * max(0, n - 1)) for n in range(900))
    head = struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0)
    assert dns_answer(head + chain) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    dns_answer(data)
    dns_answer(struct.pack("!6H", 7, 0x8180, 1, 40, 0, 0) + data)


@given(st.integers(0, 120), st.integers(0, 255))
def test_any_byte_changed_is_read_without_harm(place: int, value: int) -> None:
    message = bytearray(
        dns_message("www.example.com", record(ASKED, CNAME, name_bytes("b.example")),
                    address_record("192.0.2.9", name_bytes("b.example")))
    )  # fmt: skip
    message[place % len(message)] = value
    found = dns_answer(bytes(message))
    assert found is None or len(found.addresses) <= 1
