"""Where a store is read: its file, or a collector that serves this host.

In: a path, or the socket of a collector. Out: a `Reader` for each look at the store. Commands get
their place from `underglass.service.reading_place`; the dashboard's feed and `--watch` keep one
and open it for each look, so that they go on when a collector ends or begins meanwhile:

    place = ReadingPlace(path)             # tests; else what the command was given
    with place.open() as reader:           # UnderglassError when it cannot be read just now
        ...                                # reader.source: `file` or `collector pid N`
    place.describe(reader.source)          # for people: `the collector (pid N, PATH)`

Another N than before: the collector was restarted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from analysis.reading import Reader, open_reader, open_service


@dataclass(frozen=True, slots=True)
class ReadingPlace:
    """A store's `path`, and the `socket` of the collector that is asked for it; None: whoever
    owns the file is asked, else the file is read. With a socket the file need not be in reach.
    """

    path: Path
    socket: str | None = None

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """Look at the store. Raises what `open_reader` and `open_service` raise."""
        if self.socket is None:
            with open_reader(self.path) as reader:
                yield reader
        else:
            with open_service(self.socket) as reader:
                yield reader

    def describe(self, source: str) -> str:
        """Who answered, in words; `source` as the `Reader` says it."""
        if source == "file":
            return f"the file {self.path}"
        return f"the collector ({source.removeprefix('collector ')}, {self.path})"
