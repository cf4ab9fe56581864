"""A client under watch that does one thing at a time, when the test says so."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.conftest import PROGRAMS
from underglass.demo.standin import StandIn

PYTHON = "/usr/bin/python3"  # Debian's, which uses the system's libssl


def client_arguments(server: StandIn, body: Path) -> list[str]:
    url = f"{server.base_url}/v1/chat/completions"
    return [PYTHON, str(PROGRAMS / "asked_client.py"), url, str(server.ca_path), str(body)]


class AskedClient:
    """`asked_client.py` in a process of its own. A context manager: leaving it ends the process."""

    def __init__(
        self,
        server: StandIn,
        body: Path,
        *,
        wrapper: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        """`wrapper`: a command that executes the client in the end, and in the same process."""
        self.process = subprocess.Popen(
            [*wrapper, *client_arguments(server, body)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._answer() == "ready"

    @property
    def pid(self) -> int:
        return self.process.pid

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, word: str, times: int = 1) -> list[int]:
        """Do this; how many bytes of a body were read, each time."""
        assert self.process.stdin is not None
        read = []
        for _ in range(times):
            self.process.stdin.write(f"{word}\n")
            self.process.stdin.flush()
            answer = self._answer()
            assert answer, "the client is gone"
            read.append(int(answer))
        return read

    def end(self) -> int:
        """Let it end by itself; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)

    def __enter__(self) -> AskedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
