from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from probes.resolvers import x86
from tests.probes.test_elf import LIBSSL, needs_libssl

needs_objdump = pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")


@pytest.mark.parametrize(
    "code",
    [
        "c3",
        "4883ec08",
        "48b8 1122334455667788",
        "b8 11223344",
        "66b8 1122",
        "66c7442410 1122",
        "c7442410 11223344",
        "488d0d 11223344",
        "0f8488000000",
        "f6c101",
        "f6d9",
        "f7c1fdffffff",
        "f7d9",
        "488b04cd 11223344",
        "488b4424f8",
        "660f3a0fc108",
        "0f3801c1",
        "c5f877",
        "c5f970c01b",
        "c4e27118c0",
        "c4e37d39c101",
        "62f17c4828c0",
        "62f37d483bc101",
        "0f1f840000000000",
        "662e0f1f840000000000",
        "64488b042528000000",
        "a1 1122334455667788",
        "c8 112233",
        "f00fb10f",
        "0fba e005",
        "ff25 a2e81d00",
        "41ff10",
        "0f05",
    ],
)
def test_lengths(code: str) -> None:
    text = bytes.fromhex(code)
    assert x86.length(text + b"\x90" * 16) == len(text)
    assert x86.length(text) == len(text)
    assert x86.length(text[:-1]) in (0, *range(1, len(text) - 1))


@pytest.mark.parametrize("code", ["06", "9a", "0f04", "c4e0", "", "66", "48"])
def test_what_is_no_instruction(code: str) -> None:
    assert x86.length(bytes.fromhex(code)) == 0


def disassembled(path: Path, stop: str) -> list[tuple[bytes, str]]:
    """Instructions of the code up to an address, as objdump tells them."""
    listing = subprocess.run(
        ["objdump", "-d", "-z", "-w", "-j", ".text", f"--stop-address={stop}", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split("\t") for line in listing.splitlines()]
    return [(bytes.fromhex(row[1]), row[2]) for row in rows if len(row) > 2]


@needs_libssl
@needs_objdump
def test_a_whole_library_agrees_with_objdump() -> None:
    told = disassembled(Path(str(LIBSSL)), "0x40000")
    while told[-1][1].split()[0] != "ret":  # what is cut at the end
        told.pop()
    assert len(told) > 10_000
    wrong = [text for code, text in told if "(bad)" not in text and x86.length(code) != len(code)]
    assert wrong == []
    stream = b"".join(code for code, _ in told)
    returns = x86.returns(stream)
    assert returns is not None
    assert len(returns) == sum(text.split()[0] == "ret" for _, text in told)


def test_random_bytes_never_raise() -> None:
    chance = random.Random(3)
    for _ in range(20_000):
        code = chance.randbytes(chance.randrange(1, 18))
        assert 0 <= x86.length(code) <= min(15, len(code))
        x86.returns(code)
        x86.is_emulated(code)


def test_returns_in_code() -> None:
    assert x86.returns(bytes.fromhex("55 b8c3c3c3c3 c3 f3c3 c20800 cc")) == [6, 7, 9]
    assert x86.returns(bytes.fromhex("55 06 c3")) is None


def test_branches() -> None:
    code = bytes.fromhex("90 e8 01000000 e9 f5ffffff ebfe 7402 0f8400000000")
    assert x86.branch_target(code, 1) == 7
    assert x86.branch_target(code, 6) == 0
    assert x86.branch_target(code, 11) == 11
    assert x86.branch_target(code, 0) is None
    assert x86.is_conditional_jump(code, 13)
    assert x86.is_conditional_jump(code, 15)
    assert not x86.is_conditional_jump(code, 11)


@pytest.mark.parametrize(
    ("code", "emulated"),
    [
        (b"\x55", True),
        (b"\x53\x48", True),
        (b"\x41\x57", True),
        (b"\x90", True),
        (b"\x74\x02", True),
        (b"\x0f\x86", True),
        (b"\xe8\x00", True),
        (b"\xf3\x0f\x1e\xfa", False),
        (b"\x48\x83\xec\x08", False),
        (b"\xc3", False),
        (b"\x41", False),
        (b"\x41\x89", False),
        (b"", False),
    ],
)
def test_what_the_kernel_emulates(code: bytes, emulated: bool) -> None:
    assert x86.is_emulated(code) is emulated


def test_calls_and_jumps_are_found_wherever_they_are() -> None:
    code = bytes.fromhex("90 e8 0a000000 e9 f0ffffff e8")  # the last is cut short
    assert list(x86.calls(code)) == [(1, 16)]
    assert list(x86.calls(code, b"\xe8\xe9")) == [(1, 16), (6, -5)]
