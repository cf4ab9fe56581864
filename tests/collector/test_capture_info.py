from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest

from collector.capture_info import CaptureInfo, observe
from tests.frames import INFO


def test_the_same_facts_come_back() -> None:
    assert CaptureInfo.from_json(INFO.to_json()) == INFO
    assert INFO.wall_ns(5) == INFO.clock_offset_ns + 5


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"format": None}, {"surprise": 1}, {"kernel": ...}],
    ids=["later", "none", "more", "less"],
)
def test_other_formats_are_refused(change: dict[str, object]) -> None:
    fields = {**asdict(INFO), **change}
    text = json.dumps({name: value for name, value in fields.items() if value is not ...})
    with pytest.raises(ValueError, match=r"format|unexpected|missing"):
        CaptureInfo.from_json(text.encode())


@pytest.mark.parametrize("text", [b"", b"null", b"[1]", b"{", b"\xff"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        CaptureInfo.from_json(text)


def test_offsets_lead_to_the_wall_clock() -> None:
    info = observe("run -- agent", "0.1.0")
    assert abs(info.wall_ns(time.monotonic_ns()) - time.time_ns()) < 50_000_000
    boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + info.boottime_offset_ns
    assert abs(boottime - time.time_ns()) < 50_000_000
    assert (info.command, info.version) == ("run -- agent", "0.1.0")


def test_captures_have_ids_of_their_own() -> None:
    assert observe("a", "1").capture_id != observe("a", "1").capture_id
