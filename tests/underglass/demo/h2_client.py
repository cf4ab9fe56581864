"""An HTTP/2 client that keeps every plaintext byte, to hold against the ledger's counts."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from underglass.demo.standin import StandIn


@dataclass
class Answered:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset_code: int | None = None


class H2Client:
    """`window_bytes`: how much the client takes of a body before `grant` lets more come."""

    def __init__(self, server: StandIn, *, window_bytes: int | None = None) -> None:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.socket = raw
        if server.certificates is not None:
            context = ssl.create_default_context(cafile=str(server.ca_path))
            context.set_alpn_protocols(["h2", "http/1.1"])
            tls = context.wrap_socket(raw, server_hostname="localhost")
            assert tls.selected_alpn_protocol() == "h2"
            self.socket = tls
        self.port: int = self.socket.getsockname()[1]
        self.sent = b""
        self.received = b""
        self.streams: dict[int, Answered] = {}
        self.went_away = False
        self._grants = window_bytes is None
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        if window_bytes is not None:
            self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window_bytes})
        self.flush()

    def __enter__(self) -> H2Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        self.sent += data
        self.socket.sendall(data)

    def post(self, path: str, body: bytes, **headers: str) -> int:
        """Send a request, as far as the server's window lets it; the stream's id."""
        stream_id = self.h2.get_next_available_stream_id()
        self.streams[stream_id] = Answered()
        pseudo = {":method": "POST", ":scheme": "https", ":authority": "localhost", ":path": path}
        self.h2.send_headers(stream_id, [*pseudo.items(), *headers.items()])
        while body:
            room = self.h2.local_flow_control_window(stream_id)
            room = min(room, self.h2.max_outbound_frame_size)
            if room == 0:
                self.flush()
                self.read()
                continue
            self.h2.send_data(stream_id, body[:room])
            body = body[room:]
        self.h2.end_stream(stream_id)
        self.flush()
        return stream_id

    def grant(self, stream_id: int, size_bytes: int) -> None:
        self.h2.increment_flow_control_window(size_bytes, stream_id)
        self.flush()

    def read(self) -> bool:
        """Take what has come; False at the end of the connection."""
        data = self.socket.recv(65536)
        self.received += data
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ConnectionTerminated):
                self.went_away = True
                continue
            answered = self.streams.get(getattr(event, "stream_id", None) or 0)
            if answered is None:
                continue
            if isinstance(event, h2.events.ResponseReceived):
                answered.headers = {str(name): str(value) for name, value in event.headers or ()}
                answered.status = int(answered.headers[":status"])
            elif isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                answered.body += event.data or b""
                size = event.flow_controlled_length or 0
                if self._grants:
                    self.h2.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                answered.ended = True
            elif isinstance(event, h2.events.StreamReset):
                answered.reset_code = int(event.error_code or 0)
        if data:
            self.flush()
        return bool(data)

    def read_until_ended(self, *stream_ids: int) -> None:
        while not all(self.streams[stream_id].ended for stream_id in stream_ids):
            assert self.read()

    def drain(self) -> None:
        """Say that no more requests come, and read to the end of the connection."""
        if isinstance(self.socket, ssl.SSLSocket):
            self.h2.close_connection()
            self.flush()
        else:
            self.socket.shutdown(socket.SHUT_WR)
        while data := self.socket.recv(65536):
            self.received += data
