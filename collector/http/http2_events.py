"""Nouns of HTTP/2: what the reader of one direction tells of its streams.

In: nothing; this module only names things. Out: to `collector.http2_exchanges`. Times are as in
`collector.http.events`, from which heads, ends and skipped bytes come.
"""

from __future__ import annotations

from typing import NamedTuple

from collector.http.events import Headers, MessageEnd, RequestHead, ResponseHead, Skipped


class HeadRead(NamedTuple):
    """The head of a message; its first byte came at `first_ns`. `wire_bytes` of the message so
    far. An interim (1xx) head is followed by another one."""

    stream: int
    first_ns: int
    head: RequestHead | ResponseHead
    wire_bytes: int


class DataRead(NamedTuple):
    """Content of DATA frames, as it came: perhaps of a part of one, or of several."""

    stream: int
    ktime_ns: int
    data: bytes


class TrailersRead(NamedTuple):
    """Fields behind a body."""

    stream: int
    ktime_ns: int
    headers: Headers


class MessageRead(NamedTuple):
    """Nothing more comes of a message; `end` says whether it is whole."""

    stream: int
    end: MessageEnd


class StreamReset(NamedTuple):
    """The sender gives the stream up, in both directions. `code` is None when it was lost."""

    stream: int
    ktime_ns: int
    code: int | None


class HeadMissed(NamedTuple):
    """Frames come of a message whose head was not seen, for the first time; `reason` is why."""

    stream: int
    ktime_ns: int
    reason: str


class DataLost(NamedTuple):
    """So many bytes of a message's content are missing here."""

    stream: int
    ktime_ns: int
    length: int


class WentAway(NamedTuple):
    """The sender has not looked, and will not look, at streams above `last_stream`."""

    ktime_ns: int
    last_stream: int
    code: int


class Promised(NamedTuple):
    """The server will answer on stream `promised` what it takes to be asked soon."""

    stream: int
    ktime_ns: int
    promised: int
    headers: Headers


Http2Event = (
    HeadRead
    | DataRead
    | TrailersRead
    | MessageRead
    | StreamReset
    | HeadMissed
    | DataLost
    | WentAway
    | Promised
    | Skipped
)
