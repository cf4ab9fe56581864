"""Asks a collector's query service, from any process that may reach its socket.

In: the path of a unix socket where `collector.query_service` listens. Out: who answers there, and
Arrow tables. A connection costs 0.2 ms, so a client is opened for each look at the store and
closed after it: the next look finds whichever collector listens then.
"""

from __future__ import annotations

import json
import os
import socket as sockets
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from collector.store_errors import QueryFailed

if TYPE_CHECKING:
    import pyarrow as pa

    from collector.read_query import Parameters

ABOUT_TIMEOUT_S = 3.0  # a collector waits for the processor while agents want it
ASK_TIMEOUT_S = 20.0  # the service stops a query before
_KNOCK_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Answering:
    """The collector that answers. `schema` is the version of its store's tables."""

    pid: int
    store: Path
    schema: int


class QueryClient:
    """A connection to a query service. A context manager."""

    def __init__(self, socket: str) -> None:
        """Raises `OSError` when nobody listens (`ConnectionRefusedError`, `FileNotFoundError`) or
        when this user may not ask (`PermissionError`)."""
        knock(socket)
        from pyarrow import flight

        self._flight = flight
        self._client = flight.connect(
            f"grpc+unix://{socket}", generic_options=[("grpc.use_local_subchannel_pool", 1)]
        )

    def about(self, timeout_s: float = ABOUT_TIMEOUT_S) -> Answering:
        """Who answers. `ConnectionError` when nobody does in time."""
        flight = self._flight
        try:
            options = flight.FlightCallOptions(timeout=timeout_s)
            (result,) = self._client.do_action(flight.Action("about", b""), options)
            said = json.loads(result.body.to_pybytes())
            return Answering(int(said["pid"]), Path(said["store"]), int(said["schema"]))
        except (flight.FlightError, OSError) as error:
            raise ConnectionError(str(error).partition("\n")[0]) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectionError("what answers is no collector of underglass") from error

    def ask(self, sql: str, parameters: Parameters, timeout_s: float = ASK_TIMEOUT_S) -> pa.Table:
        """Put one query. `QueryFailed` when refused, `ConnectionError` when nobody answers."""
        flight = self._flight
        ticket = flight.Ticket(json.dumps({"sql": sql, "parameters": parameters}).encode())
        try:
            options = flight.FlightCallOptions(timeout=timeout_s)
            return self._client.do_get(ticket, options).read_all()
        except flight.FlightServerError as error:
            said = json.loads(error.extra_info or b"{}")
            raise QueryFailed(said.get("message", str(error)), hint=said.get("hint")) from error
        except (flight.FlightError, OSError) as error:
            raise ConnectionError(str(error).partition("\n")[0]) from error

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def __enter__(self) -> QueryClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def knock(socket: str) -> None:
    """Return when something listens on `socket`; `OSError` with the kernel's reason otherwise.

    gRPC itself would try again for seconds, and say only that it is unavailable. Rings before, so
    that a collector that yields to agents is given the processor.
    """
    with sockets.socket(sockets.AF_UNIX) as bell:
        bell.setblocking(False)
        try:
            bell.connect(os.fspath(bell_of(Path(socket))))
        except OSError:
            pass  # there is none, or nobody hears it
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(_KNOCK_TIMEOUT_S)
        probe.connect(socket)


def bell_of(socket: Path) -> Path:
    """Where readers ring: a socket beside the one where queries are answered."""
    return socket.with_name(socket.name + ".bell")
