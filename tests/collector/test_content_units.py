from __future__ import annotations

import pytest

from collector.content_units import is_strong, units_of


@pytest.mark.parametrize(
    "unit",
    [
        b"kX93mPq27LwZt81v",
        b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYzq81Xc0w2K",
        b"p@ss!word98",
        b"ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        b"MIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9OiJjRazXBZ1BjP5CE7Wmg2v1q0s",
    ],
)
def test_what_is_drawn_by_lot_is_strong(unit: bytes) -> None:
    assert is_strong(unit)


@pytest.mark.parametrize(
    "unit",
    [
        b"root:x:0:0:root:/root:/bin/bash",
        b"/usr/sbin/nologin",
        b"correcthorsebatterystaple",
        b"AWS_SECRET_ACCESS_KEY",
        b"getElementsByClassName",
        b"linux-image-6.18.0-amd64",
        b"postgres://user:password@localhost:5432/db",
        b"2026-11-21T18:00:02.123456Z",
        b"123e4567-e89b-12d3-a456-426614174000",
        b"AKIAIOSFODNN7EXAMPLE",
        b"us-east-1",
        b"NODE_ENV=production",
        b"https://registry.npmjs.org/",
        b"================",
        b"127.0.0.1:8080",
        b"",
    ],
)
def test_names_and_addresses_are_not(unit: bytes) -> None:
    assert not is_strong(unit)


def test_units_of_an_environment_file() -> None:
    text = b"""# settings of the shop
NODE_ENV=production
export TOKEN="kX93mPq27LwZt81v"
A=1
DATABASE_URL=postgres://shop:Xk4!mQ9z@db:5432/shop
"""
    assert set(units_of(text)) == {
        b"NODE_ENV=production",
        b"production",
        b'export TOKEN="kX93mPq27LwZt81v"',
        b"kX93mPq27LwZt81v",
        b"DATABASE_URL=postgres://shop:Xk4!mQ9z@db:5432/shop",
        b"postgres://shop:Xk4!mQ9z@db:5432/shop",
        b"Xk4!mQ9z",
    }


def test_units_of_json() -> None:
    text = b'{\n  "type": "authorized_user",\n  "refresh_token": "1//0gX93mPq27LwZt81vB"\n}\n'
    found = set(units_of(text))
    assert {b"authorized_user", b"1//0gX93mPq27LwZt81vB"} <= found
    assert b"{" not in found


@pytest.mark.parametrize(
    "shown",
    [
        b"     1\troot:x:0:0:root:/root:/bin/bash",
        "     1→root:x:0:0:root:/root:/bin/bash".encode(),
        b"root:x:0:0:root:/root:/bin/bash\r",
        b"  root:x:0:0:root:/root:/bin/bash",
    ],
)
def test_numbered_and_indented_lines_are_the_same(shown: bytes) -> None:
    assert b"root:x:0:0:root:/root:/bin/bash" in set(units_of(shown))


def test_a_private_key_is_one_unit_and_its_lines_are() -> None:
    lines = [
        b"MIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9OiJ",
        b"jRazXBZ1BjP5CE7Wmg2v1q0sOiJjRazXBZ1BjP5C",
    ]
    body = b"\n" + b"\n".join(lines) + b"\n"
    found = set(
        units_of(b"-----BEGIN RSA PRIVATE KEY-----" + body + b"-----END RSA PRIVATE KEY-----\n")
    )
    assert {body, *lines} <= found
