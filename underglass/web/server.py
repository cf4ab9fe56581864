"""`top --web`: the dashboard in a browser, on loopback, for whoever has the token.

In: the command that shows the dashboard, and a port. Out: a web server (textual-serve) that starts
the command anew for each browser window and ends it with the window. The address carries a token
that is new each time; the first visit exchanges it for a cookie. Requests that a page of another
origin makes (other `Host`, other `Origin`) are refused, nothing is loaded from elsewhere.
"""

from __future__ import annotations

import hmac
import secrets
import shlex
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from textual_serve.server import Server

from probes.errors import UnderglassError

HOST = "127.0.0.1"
MAX_WINDOWS = 8
_TEMPLATES = Path(__file__).with_name("templates")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DashboardServer(Server):
    """Serves one command. `address` is what the user opens; `announce` is told it once it works."""

    def __init__(self, command: Sequence[str], port: int, announce: Callable[[str], None]) -> None:
        """Takes the port at once (0: any that is free). Raises UnderglassError when it is taken."""
        self._socket = _listening(port)
        port = self._socket.getsockname()[1]
        super().__init__(
            shlex.join(command), HOST, port, title="underglass", templates_path=_TEMPLATES
        )
        self._announce = announce
        self._token = secrets.token_urlsafe(32)
        self._windows = 0
        self._cookie = f"underglass_{port}"  # browsers give a host's cookies to all its ports
        self.address = f"{self.public_url}/?token={self._token}"

    def serve(self, debug: bool = False) -> None:
        """Serve until SIGINT or SIGTERM."""
        web.run_app(self._make_app(), sock=self._socket, print=None, access_log=None)

    def initialize_logging(self) -> None:
        """Nothing is logged: addresses carry the token."""

    async def on_startup(self, app: web.Application) -> None:
        """Tell where it is."""
        self._announce(self.address)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A window's connection; each runs a dashboard of its own, so that there is an end."""
        if self._windows >= MAX_WINDOWS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_WINDOWS} windows are open already")
        self._windows += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self._windows -= 1

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        own = f"{HOST}:{self.port}"
        if request.host != own:
            raise web.HTTPForbidden(text=f"this is http://{own}")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{own}":
            raise web.HTTPForbidden(text="asked by a page of another origin")
        given = request.query.get("token")
        if given is not None and request.path == "/" and self._is_token(given):
            answer = web.HTTPFound("/")
            answer.set_cookie(
                self._cookie, self._token, httponly=True, samesite="Strict", max_age=86400
            )
            raise answer
        if not self._is_token(request.cookies.get(self._cookie, "")):
            raise web.HTTPForbidden(text="open the address that `underglass top --web` printed")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_headers(own))
        return response

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


def _headers(own: str) -> dict[str, str]:
    """Nothing from elsewhere, and nowhere else shown."""
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; font-src 'self'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"connect-src 'self' ws://{own}; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _listening(port: int) -> socket.socket:
    listener: Any = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UnderglassError(
            f"port {port} of {HOST} cannot be used: {error.strerror}",
            hint="name another: underglass top --web --port 0 takes any that is free",
            exit_code=2,
        ) from error
    return listener  # type: ignore[no-any-return]
