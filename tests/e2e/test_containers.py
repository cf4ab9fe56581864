"""Programs in a mount namespace and a root of their own, as containers have them: real probes, and
the stand-in's account of each connection says what they must deliver."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.events import LibrarySeen, ProbeState, Source
from tests.e2e.asked import AskedClient
from tests.e2e.conftest import Watched
from tests.e2e.raw_capture import RawCapture, RawProbe
from tests.e2e.watching import while_attached
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Start = Callable[..., StandIn]
TIMES = 3
CURL = "/usr/bin/curl"
LIBSSL = "/lib/x86_64-linux-gnu/libssl.so.3"
CURL_CA = "/ca.pem"
UNSHARE = ["/usr/bin/unshare", "--mount", "--propagation", "private"]
BODY = json.dumps(
    {
        "model": "gpt-5",
        "stream": True,
        "messages": [{"role": "user", "content": "all of it arrives. " * 500}],
    }
)


def _needed(program: str) -> list[str]:
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", said)


def make_root(root: Path) -> Path:
    """A root with curl and all that it loads, each file a copy."""
    for path in (CURL, *_needed(CURL)):
        target = root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (root / "old").mkdir()
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("container") / "root")


@pytest.fixture(scope="module")
def probe() -> Iterator[RawProbe]:
    """Unknown files are stopped until they are hooked, so that every byte must be there."""
    with RawProbe(freeze=True) as started:
        yield started


def attached(probe: RawProbe) -> int:
    """Uprobes in the kernel, as the probe process says."""
    probe.control("ready")
    events = probe.events_until(lambda event: isinstance(event, ProbeState))
    return next(event.attached for event in events if isinstance(event, ProbeState))


def curl_in(root: Path, server: StandIn, how: str = "chroot") -> list[str]:
    """A command that runs curl in `root`, in a mount namespace of its own."""
    shutil.copy(server.ca_path, root / CURL_CA[1:])
    (root / "body.json").write_text(BODY)
    curl = f"{CURL} -sS -o /answer --cacert {CURL_CA} --data-binary @/body.json"
    curl += " -H content-type:application/json" + f" {server.base_url}/v1/chat/completions" * TIMES
    if how == "chroot":
        return [*UNSHARE, "/usr/sbin/chroot", str(root), *curl.split()]
    enter = f"mount --bind {root} {root} && cd {root} && pivot_root . old && exec {curl}"
    return [*UNSHARE, "/bin/sh", "-c", enter]


def watch(
    probe: RawProbe, server: StandIn, command: list[str], directory: Path, **extra: str
) -> RawCapture:
    result = probe.watch(command, {"PATH": os.environ["PATH"]} | extra, cwd=directory)
    assert result.exit_code == 0, result.stderr.decode("utf-8", "replace")[-2000:]
    return result


def assert_exact(result: RawCapture, server: StandIn, connections: int = 1) -> None:
    """All of the server's last connections, once, byte for byte."""
    ledger = server.connections(at_least=connections)[-connections:]
    captured = [one for one in result.of(Source.OPENSSL) if one.read or one.written]
    assert sorted(one.digests for one in captured) == sorted(
        (record.received_sha256, record.sent_sha256) for record in ledger
    )
    assert all(one.gaps == 0 for one in captured)
    assert not {name: n for name, n in result.counters.items() if "lost" in name and n}


def libssl(libraries: list[LibrarySeen]) -> list[LibrarySeen]:
    return [one for one in libraries if "libssl" in one.path]


@pytest.mark.parametrize("how", ["chroot", "pivot_root"])
def test_a_program_with_a_root_of_its_own_is_captured_whole(
    how: str, probe: RawProbe, root: Path, standin: Start, tmp_path: Path
) -> None:
    server = standin("zero_latency")
    result = watch(probe, server, curl_in(root, server, how), tmp_path)
    assert_exact(result, server)
    (told,) = libssl(result.libraries)
    assert told.path == LIBSSL  # as the process knows it
    assert told.pids == (result.pid,)
    assert told.status == "hooked"


def test_one_file_in_two_namespaces_is_hooked_once_and_captured_in_both(
    probe: RawProbe, root: Path, standin: Start, tmp_path: Path
) -> None:
    server = standin("zero_latency")
    first = watch(probe, server, curl_in(root, server), tmp_path)
    hooks = attached(probe)
    other = make_root(tmp_path / "other")
    bind = f"mount --bind {root}/lib {other}/lib && exec "
    command = " ".join(curl_in(other, server)[len(UNSHARE) :])
    second = watch(probe, server, [*UNSHARE, "/bin/sh", "-c", bind + command], tmp_path)
    assert attached(probe) == hooks
    server.connections(at_least=2)
    assert_exact(second, server)
    assert [one.pids for one in libssl(first.libraries + second.libraries)] == [
        (first.pid,),
        (second.pid,),
    ]


def test_a_copy_of_a_library_is_another_file(
    probe: RawProbe, root: Path, standin: Start, tmp_path: Path
) -> None:
    server = standin("zero_latency")
    first = watch(probe, server, curl_in(root, server), tmp_path)
    hooks = attached(probe)
    copy = make_root(tmp_path / "copy")
    second = watch(probe, server, curl_in(copy, server), tmp_path)
    assert attached(probe) > hooks
    server.connections(at_least=2)
    assert_exact(second, server)
    (one,), (other,) = libssl(first.libraries), libssl(second.libraries)
    assert one.build_id == other.build_id is not None


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture
def overlay(root: Path, tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Overlays whose lower layer is the container's root, as images give them."""
    mounted: list[Path] = []

    def make(name: str) -> Path:
        layers = {part: tmp_path / f"{name}-{part}" for part in ("upper", "work", "merged")}
        for layer in layers.values():
            layer.mkdir()
        options = f"lowerdir={root},upperdir={layers['upper']},workdir={layers['work']}"
        if not _mount("-t", "overlay", "overlay", "-o", options, str(layers["merged"])):
            pytest.skip("this kernel mounts no overlay here")
        mounted.append(layers["merged"])
        return layers["merged"]

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


def test_libraries_on_an_overlay_are_captured_before_and_after_they_are_copied_up(
    probe: RawProbe, overlay: Callable[[str], Path], standin: Start, tmp_path: Path
) -> None:
    server = standin("zero_latency")
    merged = overlay("image")
    lower = watch(probe, server, curl_in(merged, server), tmp_path)
    assert_exact(lower, server)
    (merged / LIBSSL[1:]).chmod(0o600)  # same device and inode to see, another file beneath
    upper = watch(probe, server, curl_in(merged, server), tmp_path)
    server.connections(at_least=2)
    assert_exact(upper, server)
    for result in (lower, upper):
        (told,) = libssl(result.libraries)
        assert (told.path, told.status, told.pids) == (LIBSSL, "hooked", (result.pid,))


def test_two_overlays_on_one_image_deliver_each_byte_once(
    probe: RawProbe, overlay: Callable[[str], Path], standin: Start, tmp_path: Path
) -> None:
    server = standin("zero_latency")
    for number, name in enumerate(("one", "two"), start=1):
        result = watch(probe, server, curl_in(overlay(name), server), tmp_path)
        server.connections(at_least=number)
        assert_exact(result, server)


def private_libssl(directory: Path) -> Path:
    """A copy of libssl under its name, in a folder of its own."""
    copy = directory / "libssl.so.3"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(LIBSSL, copy)
    return copy


def test_attach_finds_a_container_that_is_older(standin: Start, tmp_path: Path) -> None:
    server = standin("echo", latency_scale=0)
    store, body = tmp_path / "store.db", tmp_path / "body.json"
    body.write_text(BODY)
    copy = private_libssl(tmp_path / "image")
    system = Path(LIBSSL).resolve()
    over = f'mount --bind {copy} {system} && exec "$@"'
    wrapper = [*UNSHARE, "/bin/sh", "-c", over, "sh"]
    with AskedClient(server, body, wrapper=wrapper) as client:
        client.ask("whole")
        client.ask("drop")
        code, said = while_attached(
            store, ["--pid", str(client.pid)], lambda: client.ask("whole", TIMES)
        )
        assert code == 0, said
    watched = Watched(store, 0, "", "")
    calls = watched.calls
    expected = server.ledger(at_least=1 + TIMES)[1:]
    assert [(call["request_bytes"], call["response_bytes"]) for call in calls] == [
        (record.request_bytes, record.response_bytes) for record in expected
    ]
    assert all(call["complete"] for call in calls)
    coverage = watched.rows("SELECT path, status FROM coverage")
    assert [row["status"] for row in coverage if row["path"] == str(system)] == ["hooked"]


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_library_that_was_replaced_on_disk_is_captured_from_memory(
    change: str, probe: RawProbe, standin: Start, tmp_path: Path
) -> None:
    """A package upgrade: the running program still has the old file mapped."""
    server = standin("zero_latency")
    body = tmp_path / "body.json"
    body.write_text(BODY)
    copy = private_libssl(tmp_path / "private")
    environment = {"LD_LIBRARY_PATH": str(copy.parent)}
    with AskedClient(server, body, environment=environment) as client:
        if change == "replaced":
            os.replace(private_libssl(tmp_path / "new"), copy)
        else:
            copy.unlink()
        probe.control("follow", pid=client.pid)
        probe.control("ready")
        events = probe.events_until(lambda event: isinstance(event, ProbeState))
        (told,) = libssl([event for event in events if isinstance(event, LibrarySeen)])
        assert told.path == f"{copy} (deleted)"
        assert (told.status, told.pids) == ("hooked", (client.pid,))
        client.ask("whole", TIMES)
        assert client.end() == 0
        result = probe.until_exit_of(client.pid)
    assert_exact(result, server)


def test_an_inode_that_was_used_again_is_looked_into_again(
    probe: RawProbe, standin: Start, tmp_path: Path
) -> None:
    """A file without TLS is known by its inode; what gets that inode later is another file."""
    server = standin("zero_latency")
    body = tmp_path / "body.json"
    body.write_text(BODY)
    library = tmp_path / "libssl.so.3"
    shutil.copy("/lib/x86_64-linux-gnu/libz.so.1", tmp_path / "plain.so")
    load = f"import ctypes; ctypes.CDLL('{tmp_path / 'plain.so'}')"
    environment = {"LD_LIBRARY_PATH": str(tmp_path)}
    command = ["/usr/bin/python3", "-c", load]
    assert watch(probe, server, command, tmp_path).exit_code == 0
    # The same inode, with other contents: what a file system does when it frees and allocates.
    inode = (tmp_path / "plain.so").stat().st_ino
    with open(LIBSSL, "rb") as source, open(tmp_path / "plain.so", "wb") as target:
        shutil.copyfileobj(source, target)
    (tmp_path / "plain.so").rename(library)
    assert library.stat().st_ino == inode
    url = f"{server.base_url}/v1/chat/completions"
    curl = [CURL, "-sS", "-o", "answer", "--cacert", str(server.ca_path), "-d", f"@{body}", url]
    result = watch(probe, server, curl, tmp_path, **environment)
    assert_exact(result, server)
