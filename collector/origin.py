"""How a connection was seen: by which hooks, between which addresses, and since when.

In: `collector.connections` says it of each connection. Out: to `collector.exchange`, and with each
exchange to the call's row.
"""

from __future__ import annotations

from dataclasses import dataclass

from probes.events import SocketAddresses, Source


@dataclass(frozen=True, slots=True)
class Origin:
    """How a connection was seen.

    `reusable`: its handle may come to name another connection without a close in between, as no
    hook sees session objects freed. `ran_before`: its process ran before capture came.
    """

    source: Source = Source.OPENSSL
    addresses: SocketAddresses | None = None
    reusable: bool = False
    ran_before: bool = False

    @property
    def tls_stack(self) -> str:
        """The stack's name; `none` for plain sockets."""
        return "none" if self.source is Source.SOCKET else self.source.name.lower()

    @property
    def local_address(self) -> str | None:
        """Address and port of the process's end, such as `127.0.0.1:40000` or `[::1]:40000`."""
        ends = self.addresses
        return None if ends is None else _address(ends.local_address, ends.local_port)

    @property
    def remote_address(self) -> str | None:
        """Address and port of the other end."""
        ends = self.addresses
        return None if ends is None else _address(ends.remote_address, ends.remote_port)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
