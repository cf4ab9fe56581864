from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import pytest

from probes import btf
from probes.btf import FIELDS, VMLINUX, Btf, BtfUnavailable, kernel_offsets

INT, POINTER, STRUCT, UNION, CONST = 1, 2, 4, 5, 10
Member = tuple[str, int, int]  # name, type, bits


class Blob:
    """Type records in the order of their ids, from 1."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(self, kind: int, name: str, third: int, members: Sequence[Member] = ()) -> Blob:
        extra = b"".join(struct.pack("<III", self.name(n), t, bits) for n, t, bits in members)
        info = kind << 24 | len(members)
        self.types += struct.pack("<III", self.name(name), info, third) + extra
        if kind == INT:
            self.types += bytes(4)
        return self

    @property
    def blob(self) -> bytes:
        types, strings = len(self.types), len(self.strings)
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, types, types, strings)
        return head + self.types + self.strings


def sample() -> Blob:
    """struct outer { int a; union { struct inner i; int b; }; const struct inner c; }"""
    return (
        Blob()
        .add(INT, "int", 4)  # 1
        .add(STRUCT, "inner", 8, [("x", 1, 0), ("y", 1, 32)])  # 2
        .add(UNION, "", 8, [("i", 2, 0), ("b", 1, 0)])  # 3
        .add(CONST, "", 2)  # 4
        .add(STRUCT, "outer", 24, [("a", 1, 0), ("", 3, 64), ("c", 4, 128)])  # 5
        .add(STRUCT, "", 4, [("x", 1, 0)])  # 6
    )


def test_members_also_inside_anonymous_and_nested_ones() -> None:
    fields = {
        "A": ("outer", "a"),
        "B": ("outer", "b"),
        "I_Y": ("outer", "i.y"),
        "C_Y": ("outer", "c.y"),
        "Y": ("inner", "y"),
    }
    offsets = Btf(sample().blob, {"outer", "inner"}).offsets(fields)
    assert offsets == {"A": 0, "B": 8, "I_Y": 12, "C_Y": 20, "Y": 4}


@pytest.mark.parametrize("field", [("outer", "none"), ("outer", "a.x"), ("missing", "x")])
def test_a_field_that_the_kernel_lacks_is_named(field: tuple[str, str]) -> None:
    types = Btf(sample().blob, {"outer", "missing"})
    with pytest.raises(BtfUnavailable, match=f"no {field[0]}.{field[1]}") as caught:
        types.offsets({"X": field})
    assert caught.value.hint


@pytest.mark.parametrize("blob", [b"", b"\x9f\xeb", bytes(100), b"\x7fELF" + bytes(60)])
def test_what_is_no_btf(blob: bytes) -> None:
    with pytest.raises(BtfUnavailable, match="not readable"):
        Btf(blob, {"outer"})


def test_damaged_types_are_an_error_and_nothing_else() -> None:
    whole = sample().blob
    chance = random.Random(11)
    fields = {"A": ("outer", "c.y"), "B": ("outer", "b"), "C": ("inner", "y")}
    for _ in range(3000):
        blob = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            blob[chance.randrange(2, len(blob))] = chance.randrange(256)
        try:
            found = Btf(bytes(blob), {"outer", "inner"}).offsets(fields)
        except BtfUnavailable:
            continue
        assert all(offset >= 0 for offset in found.values())


def test_types_that_go_in_a_circle_are_damage() -> None:
    circle = Blob().add(CONST, "", 1).add(STRUCT, "s", 4, [("", 1, 0), ("x", 1, 0)])
    with pytest.raises(BtfUnavailable):
        Btf(circle.blob, {"s"}).offsets({"X": ("s", "x.y")})
    itself = Blob().add(STRUCT, "s", 4, [("", 1, 0)])
    with pytest.raises(BtfUnavailable):
        Btf(itself.blob, {"s"}).offsets({"X": ("s", "x")})


@pytest.mark.skipif(not VMLINUX.exists(), reason="this kernel has no BTF")
def test_the_running_kernel_has_every_field() -> None:
    offsets = kernel_offsets()
    assert set(offsets) == set(FIELDS)
    assert all(0 <= offset < 1 << 16 for offset in offsets.values())
    assert offsets["TASK_TGID"] == offsets["TASK_PID"] + 4
    assert offsets["MM_ARG_END"] == offsets["MM_ARG_START"] + 8
    assert offsets["PATH_DENTRY"] == offsets["PATH_MNT"] + 8 == 8


def test_a_kernel_without_btf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btf, "VMLINUX", VMLINUX.with_name("none"))
    with pytest.raises(BtfUnavailable, match="cannot read") as caught:
        kernel_offsets()
    assert "CONFIG_DEBUG_INFO_BTF" in (caught.value.hint or "")
