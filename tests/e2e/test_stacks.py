"""Every TLS stack, on real, unmodified programs: what the probes deliver is what the server's own
account of each connection says, byte for byte in both directions, and where nothing can be
hooked that is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from probes.events import Source
from tests.conftest import ROOT
from tests.e2e.conftest import PROGRAMS, node
from tests.e2e.raw_capture import RawCapture, RawConnection, RawProbe
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
TIMES = 3


def request(text: str) -> str:
    message = {"role": "user", "content": text}
    return json.dumps({"model": "gpt-5", "stream": True, "messages": [message]})


BODY = request("all of it arrives. " * 5000)
PATH = "/v1/chat/completions"
Command = Callable[[StandIn, Path], list[str]]


@dataclass(frozen=True)
class Row:
    """One program on one stack. `frozen`: its library is loaded late and not known before."""

    name: str
    source: Source
    command: Command
    http: str = "1.1"
    tls: str | None = None
    frozen: bool = False
    plain: bool = False
    body: str = BODY

    def __str__(self) -> str:
        return self.name


def body_file(directory: Path) -> str:
    return str(directory / "body.json")


def curl(server: StandIn, directory: Path) -> list[str]:
    url = server.base_url + PATH
    return [
        *("curl", "-sS", "-o", os.devnull, "--data-binary", f"@{body_file(directory)}"),
        *("-H", "content-type: application/json", "-H", "expect:", *[url] * TIMES),
    ]


def wget(server: StandIn, directory: Path) -> list[str]:
    url = server.base_url + PATH
    return [
        *("wget", "-q", "-O", os.devnull, f"--ca-certificate={server.ca_path}"),
        *(f"--post-file={body_file(directory)}", *[url] * TIMES),
    ]


def python_client(interpreter: str) -> Command:
    script = (
        "import os, sys, http.client, ssl, urllib.parse as u\n"
        "p = u.urlsplit(sys.argv[1]); body = open(sys.argv[2], 'rb').read()\n"
        "plain = p.scheme == 'http'\n"
        "c = http.client.HTTPConnection(p.netloc) if plain else http.client.HTTPSConnection("
        "p.netloc, context=ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE']))\n"
        "for _ in range(int(sys.argv[3])):\n"
        "    c.request('POST', p.path, body); c.getresponse().read()\n"
    )

    def command(server: StandIn, directory: Path) -> list[str]:
        url = server.base_url + PATH
        return [interpreter, "-c", script, url, body_file(directory), str(TIMES)]

    return command


def javascript(*engine: str | Path) -> Command:
    script = (
        "import { readFileSync } from 'node:fs';\n"
        "const [url, file, times] = process.argv.slice(2);\n"
        "const body = readFileSync(file);\n"
        "const headers = { 'content-type': 'application/json' };\n"
        "for (let turn = 0; turn < Number(times); turn++)\n"
        "  await (await fetch(url, { method: 'POST', body, headers })).text();\n"
    )

    def command(server: StandIn, directory: Path) -> list[str]:
        file = directory / "client.mjs"
        file.write_text(script)
        url = server.base_url + PATH
        return [*map(str, engine), str(file), url, body_file(directory), str(TIMES)]

    return command


def wheel(library: str) -> Command:
    def command(server: StandIn, directory: Path) -> list[str]:
        program = str(PROGRAMS / "wheel_client.py")
        url, ca = server.base_url + PATH, str(server.ca_path)
        return [sys.executable, program, library, url, ca, body_file(directory), str(TIMES)]

    return command


def stripped_baseten(server: StandIn, directory: Path) -> list[str]:
    """OpenSSL 3 inside a Python module, stripped; the module also holds a rustls of which nothing
    is called."""
    import baseten_performance_client

    installed = Path(baseten_performance_client.__file__).parent
    copy = directory / "modules" / installed.name
    shutil.copytree(installed, copy)
    subprocess.run(["strip", "--strip-all", *copy.glob("*.so")], check=True)
    return ["env", f"PYTHONPATH={copy.parent}", *wheel("baseten")(server, directory)]


def built(directory: Path, name: str, *command: str) -> str:
    """A program that is compiled once a machine."""
    folder = ROOT / ".venv" / "programs"
    folder.mkdir(exist_ok=True)
    target = folder / name
    sources = PROGRAMS / name if (PROGRAMS / name).is_dir() else PROGRAMS / f"{name}.c"
    changed = max(path.stat().st_mtime for path in (sources, *sources.rglob("*")))
    if not target.exists() or target.stat().st_mtime < changed:
        cwd = sources if sources.is_dir() else sources.parent
        made = target.with_name(f"{name}.{os.getpid()}")
        environment = os.environ | {"GOCACHE": str(folder / "gocache"), "GOFLAGS": "-mod=mod"}
        subprocess.run([*command, "-o", made], cwd=cwd, check=True, env=environment)
        made.replace(target)
    return str(target)


def go_client(*flags: str) -> Command:
    def command(server: StandIn, directory: Path) -> list[str]:
        program = built(directory, "go_client", "go", "build", *flags)
        return [program, server.base_url]

    return command


def nss_client(server: StandIn, directory: Path) -> list[str]:
    if not list(Path("/usr/lib").glob("*/libcurl-nss.so.4")):
        needed = "libcurl with NSS, which this distribution may no longer have"
        (pytest.fail if os.environ.get("UNDERGLASS_REQUIRE_PRIVILEGED") else pytest.skip)(needed)
    program = built(directory, "nss_client", "gcc", "nss_client.c", "-l:libcurl-nss.so.4")
    url = server.base_url + PATH
    return [program, str(server.ca_path), url, body_file(directory), str(TIMES)]


def npm(package: str) -> Path:
    """An executable of an npm package that packaging/setup.sh --dev has installed."""
    folder = ROOT / ".venv" / "npm"
    found = sorted(folder.glob(f"node_modules/{package}"))
    assert found, f"{folder}/node_modules/{package} is missing: run packaging/setup.sh --dev"
    return found[0]


def bun(server: StandIn, directory: Path) -> list[str]:
    return javascript(npm("bun/bin/bun.exe"), "run")(server, directory)


def deno(*options: str) -> Command:
    def command(server: StandIn, directory: Path) -> list[str]:
        engine = Path(sys.executable).with_name("deno")
        return javascript(engine, "run", "-A", "-q", *options)(server, directory)

    return command


ROWS = (
    Row("curl", Source.OPENSSL, curl),
    Row("curl-tls12", Source.OPENSSL, curl, tls="1.2"),
    Row("curl-http2", Source.OPENSSL, curl, http="2"),
    Row("debian-python", Source.OPENSSL, python_client("/usr/bin/python3")),
    Row("venv-python", Source.OPENSSL, python_client(sys.executable)),
    Row("pycurl-private-libssl", Source.OPENSSL, wheel("pycurl"), frozen=True),
    Row("pyopenssl-static-in-so", Source.OPENSSL, wheel("pyopenssl"), frozen=True),
    Row("node", Source.OPENSSL, javascript(node())),
    Row("stripped-openssl-in-so", Source.OPENSSL, stripped_baseten, frozen=True),
    Row("curl-cffi-exported-boringssl", Source.BORINGSSL, wheel("curl_cffi"), frozen=True),
    Row("curl-cffi-http2", Source.BORINGSSL, wheel("curl_cffi_http2"), http="2", frozen=True),
    Row("rnet-stripped-boringssl", Source.BORINGSSL, wheel("rnet"), http="2", frozen=True),
    Row("bun-stripped-boringssl", Source.BORINGSSL, bun),
    Row("pyreqwest-aws-lc", Source.RUSTLS, wheel("pyreqwest_http1"), frozen=True),
    Row("pyreqwest-aws-lc-tls12", Source.RUSTLS, wheel("pyreqwest_http1"), tls="1.2", frozen=True),
    Row("httpr-ring", Source.RUSTLS, wheel("httpr"), http="2", frozen=True),
    Row("httpr-ring-tls12", Source.RUSTLS, wheel("httpr"), http="2", tls="1.2", frozen=True),
    Row("deno-aws-lc-http2", Source.RUSTLS, deno(), http="2"),
    Row("go-http1", Source.GO, go_client()),
    Row("go-http2", Source.GO, go_client(), http="2"),
    Row("wget-gnutls", Source.GNUTLS, wget),
    Row("nss", Source.NSS, nss_client),
    Row("mbedtls", Source.MBEDTLS, wheel("mbedtls"), frozen=True, body=request("short")),
    Row("plain-curl", Source.SOCKET, curl, plain=True),
    Row("plain-python", Source.SOCKET, python_client("/usr/bin/python3"), plain=True),
    Row("plain-node", Source.SOCKET, javascript(node()), plain=True),
    Row("plain-go", Source.SOCKET, go_client(), plain=True),
)


@pytest.fixture(scope="module")
def probe() -> Iterator[RawProbe]:
    with RawProbe() as started:
        yield started


@pytest.fixture(scope="module")
def freezing_probe() -> Iterator[RawProbe]:
    with RawProbe(freeze=True) as started:
        yield started


def run(
    row: Row, probe: RawProbe, standin: Callable[..., StandIn], directory: Path
) -> tuple[RawCapture, StandIn]:
    options = {"http2": "auto"} if row.http == "2" else {}
    if row.tls is not None:
        options["tls"] = row.tls
    server = standin("zero_latency", plain=row.plain, **options)
    environment = {
        "HOME": str(directory),
        "PATH": os.environ["PATH"],
        "COUNT": str(TIMES),
        "SIZE": "100000",
        "NO_PROXY": "127.0.0.1",
    }
    if not row.plain:
        environment |= {
            "SSL_CERT_FILE": str(server.bundle_path),
            "CURL_CA_BUNDLE": str(server.bundle_path),
            "NODE_EXTRA_CA_CERTS": str(server.ca_path),
            "DENO_CERT": str(server.ca_path),
        }
    Path(body_file(directory)).write_text(row.body)
    command = row.command(server, directory)
    program = shutil.which(command[0])
    assert program, command[0]
    result = probe.watch([program, *command[1:]], environment, cwd=directory)
    assert result.exit_code == 0, result.stderr.decode("utf-8", "replace")[-2000:]
    server.stop()
    return result, server


def speaking(connections: list[RawConnection]) -> list[RawConnection]:
    """Connections that carried anything; a preconnected one may not have."""
    return [one for one in connections if one.read or one.written]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_both_directions_are_exact(
    row: Row, request: pytest.FixtureRequest, standin: Callable[..., StandIn], tmp_path: Path
) -> None:
    probe = request.getfixturevalue("freezing_probe" if row.frozen else "probe")
    result, server = run(row, probe, standin, tmp_path)
    ledger = [record for record in server.connections() if record.received_bytes]
    assert {record.http_version for record in ledger} == {row.http}
    assert len(server.ledger()) == TIMES
    captured = speaking(result.of(row.source))
    assert sorted(one.digests for one in captured) == sorted(
        (record.received_sha256, record.sent_sha256) for record in ledger
    )
    assert all(one.gaps == 0 for one in captured)
    others = speaking([one for one in result.connections.values() if one.source != row.source])
    assert not others, "the same bytes were delivered twice"
    assert not {name: n for name, n in result.counters.items() if "lost" in name and n}
    assert row.plain or result.hellos


def test_what_was_found_by_a_resolver_is_believed_after_its_first_bytes(
    standin: Callable[..., StandIn], tmp_path: Path
) -> None:
    row = next(row for row in ROWS if row.name == "rnet-stripped-boringssl")
    with RawProbe(freeze=True) as fresh:
        result, _ = run(row, fresh, standin, tmp_path)
    told = [one.status for one in result.libraries if one.stack == "boringssl"]
    assert told[0] == "on_trial"
    assert told[-1] == "hooked"


def test_a_client_hello_names_the_server(
    probe: RawProbe, standin: Callable[..., StandIn], tmp_path: Path
) -> None:
    result, server = run(ROWS[0], probe, standin, tmp_path)
    ports = {hello.addresses.remote_port for hello in result.hellos if hello.addresses}
    assert ports == {server.port}
    assert all(hello.data[:1] == b"\x16" for hello in result.hellos)
