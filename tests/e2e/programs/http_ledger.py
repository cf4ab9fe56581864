"""An ASGI application that writes down what another one receives and sends, and its server."""

import json
import socket

import uvicorn


class Ledger:
    """Wraps `app`; one JSON line for each request's body and for each piece of a response's."""

    def __init__(self, app, path):
        self.app = app
        self.file = open(path, "w")
        self.exchanges = 0

    def write(self, **entry):
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.exchanges += 1
        number = self.exchanges
        first = await receive()
        body = first.get("body", b"")
        while first["type"] == "http.request" and first.get("more_body"):
            first = await receive()
            body += first.get("body", b"")
        asked = {"type": "http.request", "body": body}
        self.write(
            exchange=number, method=scope["method"], path=scope["path"], request=body.decode()
        )

        async def received():
            nonlocal asked
            if asked is None:
                return await receive()
            message, asked = asked, None
            return message

        async def sent(message):
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                media_type = headers.get(b"content-type", b"").decode()
                self.write(exchange=number, status=message["status"], media_type=media_type)
            elif message.get("body"):
                self.write(exchange=number, response=message["body"].decode())
            await send(message)

        await self.app(scope, received, sent)


def listen():
    """A free port of the loopback, which is printed: the socket and the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    print(port, flush=True)
    return listening, port


def serve(app, ledger, listening, certificate=None):
    """Serve until SIGTERM."""
    config = uvicorn.Config(
        Ledger(app, ledger),
        log_level="error",
        ssl_certfile=certificate,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listening])
