"""States of a message reader, and the words for bytes that it had to skip.

In: nothing; this module only names things. Out: to `collector.http.message_reader`, and the
words by way of `Skipped.reason` to whoever counts them.
"""

from __future__ import annotations

from enum import Enum, auto


class SkipReason:
    """Words of `Skipped.reason`: why sync was lost, or why bytes belong to no message."""

    NOT_HTTP = "not_http"  # nothing in this direction has looked like HTTP/1 yet
    RESYNC = "resync"  # a message ended and no start line followed
    GAP = "gap"  # bytes were lost before these
    HEAD_TOO_LONG = "head_too_long"
    BAD_FRAMING = "bad_framing"  # behind a head that does not say how its body ends
    BAD_CHUNK = "bad_chunk"
    CHUNK_LINE_TOO_LONG = "chunk_line_too_long"
    UPGRADED = "upgraded"
    CLOSED = "closed"  # the connection closed before these made a message
    JOINED_LATE = "joined_late"  # of what was under way when capture came
    BAD_HEADERS = "bad_headers"  # a header block that is not HPACK
    UNKNOWN_FRAME = "unknown_frame"  # an extension of HTTP/2
    STREAM_ENDED = "stream_ended"  # of a stream that had been reset or was over
    SERVER_SIDE = "server_side"  # a request that was received, or a response that was sent


class State(Enum):
    """What the reader expects at the front of its buffer."""

    IDLE = auto()  # in sync: blank lines, then a start line
    START = auto()  # a start line, or sync is lost
    RESYNC = auto()  # anything, with a start line somewhere behind it
    HEAD = auto()  # the rest of a head whose start line is there
    DOUBTFUL = auto()  # a body or, if the unknown request was a HEAD, the next head
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    UPGRADED = auto()
    CLOSED = auto()


BODY_STATES = (State.DOUBTFUL, State.LENGTH, State.CHUNKED, State.UNTIL_CLOSE)
