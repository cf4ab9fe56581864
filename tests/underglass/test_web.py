"""The dashboard's web server: who may come in, and that a window shows a running dashboard."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, CookieJar, WSServerHandshakeError, web

from probes.errors import UnderglassError
from underglass.web.server import HOST, MAX_WINDOWS, DashboardServer

_APP = """
from textual.app import App
from textual.widgets import Static
class Shown(App):
    def compose(self):
        yield Static("WHAT-IS-SHOWN")
Shown().run()
"""


@asynccontextmanager
async def serving() -> AsyncIterator[DashboardServer]:
    told: list[str] = []
    server = DashboardServer([sys.executable, "-c", _APP], 0, told.append)
    runner = web.AppRunner(await server._make_app(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, server._socket).start()
    try:
        assert told == [server.address]
        yield server
    finally:
        await runner.cleanup()


def visit(steps: Callable[[DashboardServer, ClientSession], Awaitable[None]]) -> None:
    async def main() -> None:
        jar = CookieJar(unsafe=True)  # cookies of hosts without a name
        async with serving() as server, ClientSession(cookie_jar=jar) as browser:
            await steps(server, browser)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_only_who_has_the_token_comes_in() -> None:
    async def steps(server: DashboardServer, browser: ClientSession) -> None:
        base = server.public_url
        for path in ("/", "/?token=", "/?token=guessed", "/ws", "/static/js/textual.js"):
            async with browser.get(base + path) as answer:
                assert answer.status == 403, path
        async with browser.get(server.address) as answer:
            assert answer.status == 200
            assert str(answer.url) == base + "/"
            page = await answer.text()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert server.address.partition("=")[2] not in page
        assert "://" not in page.replace(base, "").replace(base.replace("http", "ws"), "")
        async with browser.get(base + "/static/js/textual.js") as answer:
            assert answer.status == 200

    visit(steps)


def test_pages_of_other_origins_reach_nothing() -> None:
    async def steps(server: DashboardServer, browser: ClientSession) -> None:
        base = server.public_url
        await browser.get(server.address)
        for header in ({"Host": f"evil.example:{server.port}"}, {"Origin": "http://evil.example"}):
            async with browser.get(base + "/", headers=header) as answer:
                assert answer.status == 403
        with pytest.raises(WSServerHandshakeError):
            await browser.ws_connect(base + "/ws", origin="http://evil.example")

    visit(steps)


def test_each_window_runs_a_dashboard_and_there_is_an_end_to_windows() -> None:
    async def steps(server: DashboardServer, browser: ClientSession) -> None:
        await browser.get(server.address)
        place = server.public_url + "/ws?width=80&height=24"
        async with browser.ws_connect(place, origin=server.public_url) as window:
            shown = b""
            while b"WHAT-IS-SHOWN" not in shown:
                message = await window.receive()
                shown += message.data if isinstance(message.data, bytes) else b""
        server._windows = MAX_WINDOWS
        with pytest.raises(WSServerHandshakeError) as refused:
            await browser.ws_connect(place, origin=server.public_url)
        assert refused.value.status == 503

    visit(steps)


def test_a_port_that_is_taken_is_said() -> None:
    with (
        socket.create_server((HOST, 0)) as taken,
        pytest.raises(UnderglassError, match="cannot be used") as error,
    ):
        DashboardServer(["true"], taken.getsockname()[1], print)
    assert error.value.exit_code == 2
