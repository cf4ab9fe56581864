"""The C side and the Python side of a frame say the same."""

from __future__ import annotations

import ctypes
import re
import struct

import pytest

from probes import action_frames, frames, maps
from probes.events import CredentialChange, FileOperation, Source
from probes.session import SOURCES, STEPS
from tests.conftest import ROOT

SOURCE = "".join((ROOT / "probes" / "bpf" / name).read_text() for name in SOURCES)
SIZES = {"u8": 1, "u16": 2, "u32": 4, "s32": 4, "u64": 8, "s64": 8, "char": 1}


def _size_of(name: str) -> int:
    """Bytes of a C struct whose fields leave no padding, which is asserted."""
    if name == "frame":
        return frames.HEADER.size
    body = re.search(rf"struct {name} {{\n(.*?)\n}};", SOURCE, re.S)
    assert body, name
    size = 0
    for line in body[1].splitlines():
        field = re.match(r"\s*(?:struct )?(\w+) \w+(?:\[(\d+)\])?;", line)
        assert field, line
        unit = SIZES[field[1]] if field[1] in SIZES else _size_of(field[1])
        assert size % min(unit, 8) == 0, f"padding before: {line}"
        size += unit * int(field[2] or 1)
    return size


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("plain_data", frames.PLAIN_DATA_HEAD),
        ("connection_opened", frames._OPENED),
        ("connection_closed", frames.CLOSED),
        ("process_forked", frames._FORKED),
        ("process_executed", frames._EXECUTED),
        ("process_path", frames._PATH),
        ("process_exited", frames._EXITED),
        ("library_mapped", frames._MAPPED),
        ("half_joined", frames._JOINED),
        ("channel_end", frames._CHANNEL_END),
        ("tls_hello", frames._HELLO),
        ("file_touched", action_frames.TOUCHED),
        ("connected", action_frames.CONNECTED),
        ("dns_answered", action_frames.DNS_ANSWERED),
        ("credentials_changed", action_frames.CREDENTIALS_CHANGED),
        ("file_content", action_frames.FILE_CONTENT),
        ("addresses", frames._ADDRESSES),
    ],
)
def test_structs_have_the_size_that_python_reads(name: str, layout: struct.Struct) -> None:
    header = 0 if name == "addresses" else frames.HEADER.size
    assert _size_of(name) == header + layout.size


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("connection_key", maps.ConnectionMapKey),
        ("connection", maps.Connection),
        ("endpoint", maps.Endpoint),
        ("settled", maps.Settled),
        ("stack_key", maps.StackKey),
        ("traffic", maps.Traffic),
        ("file_name", maps.FileName),
        ("process_name", maps.ProcessName),
        ("sensitive_name", maps.SensitiveName),
        ("content_key", maps.ContentKey),
    ],
)
def test_map_entries_have_the_size_that_python_reads(
    name: str, layout: type[ctypes.Structure]
) -> None:
    assert _size_of(name) == ctypes.sizeof(layout)


def test_frame_kinds_and_counters_agree() -> None:
    kinds = dict(re.findall(r"FRAME_(\w+) = (\d+),", SOURCE))
    assert kinds
    assert {name: getattr(frames, name) for name in kinds} == {
        name: int(number) for name, number in kinds.items()
    }
    for enum, last, names in (
        ("source_counter", "SOURCE_COUNTERS", frames.SOURCE_COUNTERS),
        ("process_counter", "PROCESS_COUNTERS", frames.PROCESS_COUNTERS),
        ("action_counter", "ACTION_COUNTERS", frames.ACTION_COUNTERS),
        ("file_operation", "", tuple(FileOperation)),
        ("credential_change", "", tuple(CredentialChange)),
        ("source", "SOURCES", tuple(Source)),
    ):
        slots = re.search(rf"enum {enum} {{(.*?){f'{last},' if last else '};'}", SOURCE, re.S)
        assert slots
        assert len(re.findall(r"\b[A-Z]\w+,", slots[1])) == len(names), enum
    assert f"#define FRAME_VERSION {frames.VERSION}\n" in SOURCE


def test_steps_are_in_their_slots() -> None:
    slots = dict(re.findall(r"#define STEP_(\w+) (\d+)", SOURCE))
    assert slots == {
        name.removesuffix("_step").upper(): str(slot) for slot, name in enumerate(STEPS)
    }
    assert f"BPF_PROG_ARRAY(steps, {len(STEPS)});" in SOURCE
