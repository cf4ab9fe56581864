"""Ways to feed a reader and to compare what it yields, for the tests of this directory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from collector.http.events import BodyData, HttpEvent, MessageEnd, Passed, Skipped
from collector.http.http1 import RequestReader, ResponseReader

Reader = RequestReader | ResponseReader


def feed_all(reader: Reader, feeds: Iterable[bytes], ktime_ns: int = 0) -> list[HttpEvent]:
    return [event for data in feeds for event in reader.feed(data, ktime_ns)]


def merged(events: Iterable[HttpEvent]) -> list[HttpEvent]:
    """Adjacent body data and adjacent skips of one reason made one."""
    result: list[HttpEvent] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, BodyData) and isinstance(last, BodyData):
            result[-1] = BodyData(event.ktime_ns, last.data + event.data)
        elif isinstance(event, Passed) and isinstance(last, Passed):
            result[-1] = Passed(event.ktime_ns, last.data + event.data)
        elif (
            isinstance(event, Skipped) and isinstance(last, Skipped) and last.reason == event.reason
        ):
            result[-1] = Skipped(event.ktime_ns, last.length + event.length, event.reason)
        else:
            result.append(event)
    return result


def accounted_bytes(events: Iterable[HttpEvent]) -> int:
    total = 0
    for event in events:
        if isinstance(event, MessageEnd):
            total += event.wire_bytes
        elif isinstance(event, Skipped):
            total += event.length
        elif isinstance(event, Passed):
            total += len(event.data)
    return total


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` cut at these offsets."""
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds)]
