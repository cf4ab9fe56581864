"""Secrets in the paths of frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.redaction import Redactor
from probes import frames
from probes.action_frames import TOUCHED
from probes.events import Connected, FileOperation, FileTouched
from tests.action_frames import GIVEN, connect, connected_frame, touch, touched_frame
from tests.frames import AGENT, API_KEY, SALT, STARTED_NS, frame

KEY = API_KEY.decode()
WALKED = 2  # FORM_WALKED of bpf/file_calls.bpf.c


def masked(captured: bytes, *, bodies: bool = True) -> FileTouched | Connected:
    result = Redactor(SALT, bodies=bodies).frame(captured)
    assert len(result) == len(captured)
    assert API_KEY not in result
    assert Redactor(SALT, bodies=bodies).frame(result) == result
    event = frames.decode(result)
    assert isinstance(event, FileTouched | Connected)
    return event


@pytest.mark.parametrize("bodies", [True, False])
def test_a_key_in_a_name_is_masked_in_the_frame(bodies: bool) -> None:
    moved = touch(f"/tmp/{KEY}/x", operation=FileOperation.RENAME, new_path=f"/tmp/{KEY}.json")
    event = masked(touched_frame(moved), bodies=bodies)
    assert isinstance(event, FileTouched)
    assert event.path.startswith("/tmp/[redacted:")
    assert event.path.endswith("*/x")
    assert event.new_path is not None
    assert event.new_path.endswith("*.json")
    assert event.new_path[5:24] == event.path[5:24]  # the same key has the same mark


def test_the_query_of_a_url_in_a_name_is_masked() -> None:
    event = masked(touched_frame(touch("/cache/https:/host/file?a=1&token=opensesame")))
    assert isinstance(event, FileTouched)
    assert event.path == "/cache/https:/host/file?a=1&token=**********"


def test_names_that_follow_each_other_are_apart() -> None:
    """A key ends where the names as the process gave them do."""
    given_name, walked = KEY.encode(), b"home\0srv\0"
    head = TOUCHED.pack(
        *(STARTED_NS, 3, 0, 0, 0, AGENT, AGENT, len(given_name), len(walked), 0, 0),
        *(FileOperation.OPEN, GIVEN | WALKED, 0),
    )
    event = masked(frame(frames.FILE_TOUCHED, head + given_name + walked))
    assert isinstance(event, FileTouched)
    assert event.path.startswith("/srv/home/[redacted:")


def test_the_path_of_a_unix_socket_is_masked() -> None:
    event = masked(connected_frame(connect(f"/run/{KEY}", 0, transport="unix")))
    assert isinstance(event, Connected)
    assert event.address.startswith("/run/[redacted:")


@pytest.mark.parametrize(
    "captured",
    [
        touched_frame(touch("/home/me/project/a=b.txt")),
        connected_frame(connect("/run/agent.sock", 0, transport="unix")),
        connected_frame(connect("192.0.2.7")),
        connected_frame(connect("2001:db8::1")),
    ],
)
def test_other_frames_stay_as_they_are(captured: bytes) -> None:
    assert Redactor(SALT).frame(captured) is captured


@given(st.sampled_from([frames.FILE_TOUCHED, frames.CONNECTED]), st.binary(max_size=200))
def test_frames_of_any_bytes_keep_their_length(kind: int, rest: bytes) -> None:
    for payload in (rest, bytes(TOUCHED.size) + rest, b"\xff" * TOUCHED.size + rest + API_KEY):
        captured = frame(kind, payload)
        assert len(Redactor(SALT).frame(captured)) == len(captured)
