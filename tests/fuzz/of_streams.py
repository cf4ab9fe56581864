"""Harnesses of JSON-RPC, frames, recordings and ClientHellos."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from collector.client_hello import server_name
from collector.json_rpc import JsonRpcReader
from collector.recording import NotARecording, RecordingReader, RecordingWriter
from collector.rpc_messages import RpcMessage
from probes import frames
from tests.frames import INFO, frame
from tests.fuzz.steps import Input, parsed, pieces, with_gaps

# JSON-RPC

_RPC_LIMITS = (1 << 20, 40, 200)


def json_rpc(raw: bytes) -> None:
    """One direction, whole, split, and with holes; the first choice is the limit."""
    choices, data = parsed(raw)
    limit = _RPC_LIMITS[Input(choices, data).choice(0) % len(_RPC_LIMITS)]
    whole, split = JsonRpcReader(limit), JsonRpcReader(limit)
    expected = [*whole.feed(data, 0), *whole.close(0)]
    found = [one for piece in pieces(data, choices[1:]) for one in split.feed(piece, 0)]
    assert found + split.close(0) == expected
    assert split.skipped_bytes == whole.skipped_bytes
    assert split.verdict == whole.verdict
    _rpc_with_holes(data, choices[1:], limit)


def _rpc_with_holes(data: bytes, choices: bytes, limit: int) -> None:
    reader = JsonRpcReader(limit)
    messages: list[RpcMessage] = []
    parts = [bytearray()]  # what came without a hole
    fed = lost = 0
    for step in with_gaps(data, choices):
        if step.data is None:
            reader.gap(step.lost)
            lost += step.lost
            parts.append(bytearray())
        else:
            messages += reader.feed(step.data, 0)
            fed += len(step.data)
            parts[-1] += step.data
        assert _rpc_bytes(reader, messages) == fed
    messages += reader.close(0)
    assert _rpc_bytes(reader, messages) == fed
    for one, two in pairwise(messages):
        assert (one.position, one.batch_index or 0) < (two.position, two.batch_index or 1)
    for message in messages:
        assert 0 <= message.position < fed + lost
        assert message.text is None or any(message.text in part for part in parts)


def _rpc_bytes(reader: JsonRpcReader, messages: list[RpcMessage]) -> int:
    sizes = sum(message.size_bytes for message in messages)
    skipped = sum(reader.skipped_bytes.values())
    return sizes + skipped + reader.framing_bytes + reader.pending_bytes


# Frames and recordings


def frames_decoded(raw: bytes) -> None:
    """Any bytes as one frame, as a frame of the kind that the first choice gives, and as a
    stream of frames."""
    source = parsed(raw)
    choices, data = source
    events = [frames.decode(frame(source.choice(0), data, version=frames.VERSION))]
    if len(data) >= frames.HEADER.size:
        events.append(frames.decode(data))
    assert all(event.ktime_ns >= 0 for event in events)
    whole, split = frames.FrameSplitter(), frames.FrameSplitter()
    found: list[bytes] = []
    try:
        expected = whole.feed(data)
    except ValueError:
        expected = None
    try:
        for piece in pieces(data, choices):
            found += split.feed(piece)
            assert split.pending_bytes <= frames.MAX_FRAME_BYTES
    except ValueError:
        assert expected is None
    else:
        assert found == expected
        assert sum(map(len, found)) + split.pending_bytes == len(data)


def recording(raw: bytes) -> None:
    """Data as a file; and frames of it in a file that is then cut and changed where the choices
    say."""
    source = parsed(raw)
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        path = Path(directory, "torn")
        path.write_bytes(source.data)
        _read_recording(path)
        written = [frame(frames.PLAIN_DATA, piece) for piece in pieces(source.data, b"\x30")]
        path.unlink()
        writer = RecordingWriter(path, INFO)
        for number, one in enumerate(written):
            writer.add(one)
            if source.choice(number) % 2:
                writer.flush()
        writer.close()
        whole = path.read_bytes()
        assert _read_recording(path) == (written, None)
        end = len(whole) - source.choice(0)
        torn = bytearray(whole[: max(0, end)])
        for at, flip in zip(source.choices[1::3], source.choices[2::3], strict=False):
            if torn:
                torn[-1 - at % len(torn)] ^= flip
        path.write_bytes(torn)
        found = _read_recording(path)
        if found is not None:
            assert found[0] == written[: len(found[0])]
            # A file that ends where a block does looks like a shorter one.
            assert found[1] or len(found[0]) <= len(written)


def _read_recording(path: Path) -> tuple[list[bytes], str | None] | None:
    try:
        reader = RecordingReader(path)
    except NotARecording:
        return None
    try:
        found = list(reader.frames())
    finally:
        reader.close()
    return found, reader.damage


def client_hello(raw: bytes) -> None:
    """The first bytes of a socket: every beginning names the same server, or none yet."""
    data = parsed(raw).data[:2000]
    name = server_name(data)
    assert name is None or (0 < len(name) <= 253 and name == name.lower())
    step = max(1, len(data) // 64)
    named = [server_name(data[:end]) for end in range(0, len(data), step)]
    known = [one for one in named if one is not None]
    assert all(one == name for one in known)
