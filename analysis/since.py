"""`--since`: a moment, or how long ago.

In: what the user typed and the present time. Out: nanoseconds since the epoch, UTC.
"""

from __future__ import annotations

import datetime
import re

from probes.errors import UnderglassError

_UNIT_NS = {
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")


def parse_since(text: str, now_ns: int) -> int:
    """`90s`, `10m`, `2h`, `7d`, `1w`, `2025-01-31` or an ISO 8601 time (UTC without an offset).

    Raises `UnderglassError` with exit code 2.
    """
    asked = text.strip()
    if duration := _DURATION.fullmatch(asked):
        return now_ns - int(duration[1]) * _UNIT_NS[duration[2]]
    try:
        moment = datetime.datetime.fromisoformat(asked)
    except ValueError as error:
        raise UnderglassError(
            f"not a time: {text!r}",
            hint="write a duration (90s, 10m, 2h, 7d) or a time (2025-01-31, 2025-01-31T12:00:00Z)",
            exit_code=2,
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(microseconds=1) * 1000
