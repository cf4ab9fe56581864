"""A scripted model server for the demo, the tests and the benchmarks.

It speaks the APIs of Anthropic (Messages), OpenAI (Chat Completions and Responses), Google
(Gemini) and Ollama on the loopback, over TLS or plain TCP, HTTP/1.1 or HTTP/2. It says what a
script (see `script`) tells it to and writes down what really went over the wire (see `ledger`).
Run it:

    python -m underglass.demo.standin --script demo --directory DIR

When it listens, it prints one JSON line (port, base_url, ca, bundle, ledger, pid) to stdout. It
ends on SIGTERM or SIGINT, after running exchanges have. `StandIn` does all that from Python, in
a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import underglass
from underglass.demo.certificates import (
    Certificates,
    agent_environment,
    cipher_environment,
    ensure_certificates,
    server_context,
)
from underglass.demo.ledger import (
    ConnectionRecord,
    LedgerRecord,
    LedgerWriter,
    read_connections,
    read_ledger,
)
from underglass.demo.script import ScriptError, load_script

_T = TypeVar("_T")


class StandInError(RuntimeError):
    """The stand-in's process did not come up, or its ledger stayed too short."""


_ALPN = {"off": ("http/1.1",), "auto": ("h2", "http/1.1"), "only": ("h2",)}


class StandIn:
    """A stand-in in a process of its own: `with StandIn("echo", directory) as server: ...`.

    `http2`: off, auto (as ALPN or, without it, the client's first bytes say), or only. `tls`
    (1.2, 1.3) and `cipher` (OpenSSL's name) allow one alone.
    """

    def __init__(
        self,
        script: str | Path,
        directory: str | Path,
        *,
        plain: bool = False,
        port: int = 0,
        latency_scale: float = 1.0,
        user: int | None = None,
        http2: str = "off",
        tls: str | None = None,
        cipher: str | None = None,
    ) -> None:
        self._user = user  # uid to run as, when root starts it
        self.directory = Path(directory)
        self._arguments = [
            sys.executable,
            *("-m", "underglass.demo.standin", "--script", str(script), "--port", str(port)),
            *("--directory", str(self.directory), "--latency-scale", str(latency_scale)),
            *("--until-stdin-closes", "--http2", http2, *(["--plain"] if plain else [])),
            *(("--tls", tls) if tls else ()),
            *(("--cipher", cipher) if cipher else ()),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.base_url = ""
        self.pid = 0
        self.certificates: Certificates | None = None
        self.ledger_path = self.directory / "ledger.jsonl"
        self.connections_path = self.directory / "connections.jsonl"

    def __enter__(self) -> StandIn:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        source = str(Path(underglass.__file__).parents[1])
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        }
        with open(self.directory / "standin.log", "wb") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                user=self._user,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise StandInError((self.directory / "standin.log").read_text())
        ready = json.loads(line)
        self.port, self.base_url, self.pid = ready["port"], ready["base_url"], ready["pid"]
        if ready["ca"] is not None:
            self.certificates = Certificates.in_directory(self.directory)

    def stop(self) -> None:
        """Let running exchanges end, then end the process; the ledger is complete after that."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def ca_path(self) -> Path:
        """The authority to trust; only for a stand-in that speaks TLS."""
        assert self.certificates is not None
        return self.certificates.ca_path

    @property
    def bundle_path(self) -> Path:
        """The authority together with the machine's own; only with TLS."""
        assert self.certificates is not None
        return self.certificates.bundle_path

    def environment(self) -> dict[str, str]:
        """Variables that point an unmodified agent at this stand-in."""
        return agent_environment(self.base_url, self.certificates)

    def ledger(self, at_least: int = 0, timeout_s: float = 10.0) -> list[LedgerRecord]:
        """The records so far; waits until there are `at_least` so many.

        A client may see the end of a response just before the server writes its record.
        """
        return _wait(lambda: read_ledger(self.ledger_path), at_least, timeout_s)

    def connections(self, at_least: int = 0, timeout_s: float = 10.0) -> list[ConnectionRecord]:
        """The connections that have ended so far; waits until there are `at_least` so many."""
        return _wait(lambda: read_connections(self.connections_path), at_least, timeout_s)


def _wait(read: Callable[[], list[_T]], at_least: int, timeout_s: float) -> list[_T]:
    deadline = time.monotonic() + timeout_s
    while True:
        records = read()
        if len(records) >= at_least:
            return records
        if time.monotonic() > deadline:
            raise StandInError(f"{len(records)} records, not {at_least}")
        time.sleep(0.005)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until a signal comes (or stdin closes, if so asked)."""
    from underglass.demo.model_server import ModelServer

    if arguments.http2 != "off":
        try:
            import underglass.demo.http2  # noqa: F401
        except ModuleNotFoundError as error:
            sys.exit(f"standin: --http2 {arguments.http2} needs the package {error.name}")
    script = load_script(arguments.script, latency_scale=arguments.latency_scale)
    directory = Path(arguments.directory)
    directory.mkdir(parents=True, exist_ok=True)
    certificates = None if arguments.plain else ensure_certificates(directory)
    ledger_path = directory / "ledger.jsonl"
    connections_path = directory / "connections.jsonl"
    server = ModelServer(
        script, LedgerWriter(ledger_path), LedgerWriter(connections_path), arguments.http2
    )
    context = None
    if certificates is not None:
        context = server_context(
            certificates,
            alpn=_ALPN[arguments.http2],
            tls=arguments.tls,
            cipher=arguments.cipher,
        )
    port = await server.listen(arguments.port, context)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if arguments.until_stdin_closes:
        loop.add_reader(0, _until_closed, loop, ended)
    scheme = "http" if certificates is None else "https"
    ready = {
        "port": port,
        "base_url": f"{scheme}://127.0.0.1:{port}",
        "ca": None if certificates is None else str(certificates.ca_path),
        "bundle": None if certificates is None else str(certificates.bundle_path),
        "ledger": str(ledger_path),
        "connections": str(connections_path),
        "pid": os.getpid(),
    }
    print(json.dumps(ready), flush=True)
    await ended.wait()
    await server.stop()


def _until_closed(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    if not os.read(0, 4096):
        loop.remove_reader(0)
        ended.set()


def _restart_with_cipher(directory: Path, cipher: str, argv: list[str] | None) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    environment = cipher_environment(directory, cipher)
    if os.environ.get("OPENSSL_CONF") != environment["OPENSSL_CONF"]:
        given = sys.argv[1:] if argv is None else argv
        command = [sys.executable, "-m", "underglass.demo.standin", *given]
        os.execve(sys.executable, command, os.environ | environment)


def main(argv: list[str] | None = None) -> None:
    """The command line of the stand-in."""
    parser = argparse.ArgumentParser(prog="python -m underglass.demo.standin")
    parser.add_argument("--script", default="demo", help="name of a shipped script, or a path")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--directory", default=".", help="for certificates and the ledger")
    parser.add_argument("--plain", action="store_true", help="plain HTTP, no TLS")
    parser.add_argument(
        "--latency-scale", type=float, default=1.0, help="multiplies the script's delays"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the parent process"
    )
    parser.add_argument("--http2", choices=sorted(_ALPN), default="off")
    parser.add_argument("--tls", choices=("1.2", "1.3"), help="this version alone")
    parser.add_argument("--cipher", help="this one alone, by OpenSSL's name")
    arguments = parser.parse_args(argv)
    if (arguments.cipher or "").startswith("TLS_"):
        _restart_with_cipher(Path(arguments.directory), arguments.cipher, argv)
    try:
        asyncio.run(serve(arguments))
    except ScriptError as error:
        sys.exit(f"standin: {error}")


if __name__ == "__main__":
    main()
