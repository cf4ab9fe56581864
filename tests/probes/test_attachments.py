from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from probes.attachments import MOST_REATTACHMENTS, Attachments
from probes.bcc_bindings import ProgramsRejected
from probes.events import ConnectionKey, LibrarySeen
from probes.hooks import FileKey, FilePlan, Hook, StackPlan
from probes.libraries import file_key
from probes.programs import Programs
from probes.trial import MOST_FAILURES, Verdict

REQUEST, NOISE = b"POST /v1/messages HTTP/1.1\r\n", b"\xff" * 32
CIPHER = StackPlan(
    "rustls",
    "aws_lc",
    (Hook(16, "aead_seal_enter", False), Hook(32, "aead_open_return", True)),
    "by reports",
)
LAYER = StackPlan("rustls", "rustls", (Hook(64, "rustls_seal_enter", False),), "by tables", CIPHER)
NAMED = StackPlan("openssl", "symbols", (Hook(8, "read_enter", False),), "by names")


@dataclass
class FakePrograms:
    """Keeps what is attached: the inode, the offset and the program, by descriptor."""

    attached: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    last: int = 0

    def attach_uprobes(
        self, path: str, offsets: Sequence[int], function: str, *, at_return: bool
    ) -> list[int]:
        if function in self.refused:
            raise ProgramsRejected(f"{function} refused")
        key = file_key(path)
        assert key is not None
        first = self.last + 1
        for offset in offsets:
            self.last += 1
            self.attached[self.last] = (key.inode, offset, function)
        return list(range(first, self.last + 1))

    def detach_uprobes(self, descriptors: Iterable[int]) -> None:
        for descriptor in descriptors:
            del self.attached[descriptor]

    @property
    def names(self) -> list[str]:
        return [name for _, _, name in self.attached.values()]


@dataclass
class Hooked:
    """One file, attached to by a plan."""

    path: Path
    programs: FakePrograms
    attachments: Attachments
    key: FileKey
    connections: int = 0

    def attach(self, *stacks: StackPlan) -> None:
        plan = FilePlan(str(self.path), None, stacks)
        path = str(self.path)
        self.attachments.attach(self.key, path, path, plan, os.stat(path))

    def announced(self, pid: int) -> list[tuple[str, str, str]]:
        return told(self.attachments.announce(self.key, str(self.path), pid))

    def hear(self, data: bytes, *, epoch: int | None = None) -> Verdict | None:
        """A connection that begins like this, now unless told otherwise."""
        self.connections += 1
        began = time.monotonic_ns() if epoch is None else epoch
        connection = ConnectionKey(7, 1, self.connections, began)
        self.attachments.trials.opened(connection, self.key, "rustls")
        return self.attachments.trials.first_bytes(connection, data)

    def open_files(self) -> list[str]:
        """Descriptors of the file that this process holds."""
        return [
            one.name
            for one in Path("/proc/self/fd").iterdir()
            if one.is_symlink() and str(one.readlink()) == str(self.path)
        ]

    def reject(self) -> list[LibrarySeen]:
        """End a trial as noise does."""
        verdicts = [self.hear(NOISE) for _ in range(MOST_FAILURES)]
        assert verdicts[:-1] == [None] * (MOST_FAILURES - 1)
        assert verdicts[-1] == Verdict(self.key, "rustls", believed=False)
        return self.attachments.judge(verdicts[-1])


def told(events: list[LibrarySeen]) -> list[tuple[str, str, str]]:
    return [(one.stack, one.status, one.method) for one in events]


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    path = tmp_path / "program"
    path.write_bytes(b"code")
    key = file_key(str(path))
    assert key is not None
    programs = FakePrograms()
    return Hooked(path, programs, Attachments(cast(Programs, programs)), key)


def test_names_are_believed_and_what_was_found_is_on_trial(hooked: Hooked) -> None:
    hooked.attach(NAMED, LAYER)
    assert hooked.announced(7) == [
        ("openssl", "hooked", "symbols"),
        ("rustls", "on_trial", "rustls"),
    ]
    assert hooked.announced(7) == []
    assert hooked.programs.names == ["read_enter", "rustls_seal_enter"]


def test_sensible_bytes_end_the_trial(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    hooked.announced(7)
    verdict = hooked.hear(REQUEST)
    assert verdict is not None
    (seen,) = hooked.attachments.judge(verdict)
    assert (seen.status, seen.method, seen.detail, seen.pids) == (
        *("hooked", "rustls", "by tables"),
        (7,),
    )
    assert hooked.hear(NOISE) is None
    assert hooked.programs.names == ["rustls_seal_enter"]


def test_another_way_is_tried_when_the_first_is_rejected(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    hooked.announced(7)
    (seen,) = hooked.reject()
    assert told([seen]) == [("rustls", "on_trial", "aws_lc")]
    assert seen.detail == "by reports; rustls captured no HTTP"
    assert seen.pids == (7,)
    assert hooked.programs.names == ["aead_seal_enter", "aead_open_return"]
    verdict = hooked.hear(REQUEST)
    assert verdict is not None
    assert told(hooked.attachments.judge(verdict)) == [("rustls", "hooked", "aws_lc")]


def test_the_other_way_is_tried_on_the_same_file_when_its_path_is_gone(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    hooked.path.unlink()
    hooked.path.write_bytes(b"another file of this name")
    hooked.reject()
    assert {inode for inode, _, _ in hooked.programs.attached.values()} == {hooked.key.inode}


def test_when_both_ways_are_rejected_nothing_stays_attached(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    hooked.announced(7)
    hooked.reject()
    assert told(hooked.reject()) == [("rustls", "rejected", "aws_lc")]
    assert hooked.programs.attached == {}
    assert not hooked.attachments.trials


def test_another_way_that_cannot_be_attached_says_why(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    hooked.announced(7)
    hooked.programs.refused.add("aead_open_return")
    (seen,) = hooked.reject()
    assert (seen.status, seen.method) == ("not_hooked", "aws_lc")
    assert "aead_open_return refused" in seen.detail
    assert hooked.programs.attached == {}
    assert not hooked.attachments.trials


def test_without_another_way_a_rejected_stack_stays_rejected(hooked: Hooked) -> None:
    hooked.attach(CIPHER)
    hooked.announced(7)
    assert told(hooked.reject()) == [("rustls", "rejected", "aws_lc")]
    assert hooked.programs.attached == {}


def test_connections_of_the_rejected_hooks_say_nothing_of_the_next(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    before = time.monotonic_ns()
    waiting = ConnectionKey(7, 1, 1000, before)
    hooked.attachments.trials.opened(waiting, hooked.key, "rustls")
    hooked.reject()
    assert hooked.attachments.trials.first_bytes(waiting, NOISE) is None
    for _ in range(MOST_FAILURES):
        assert hooked.hear(NOISE, epoch=before) is None
    assert hooked.programs.names == ["aead_seal_enter", "aead_open_return"]


def test_no_file_stays_open_after_its_trial(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    assert len(hooked.open_files()) == 1
    hooked.reject()
    assert len(hooked.open_files()) == 1
    hooked.reject()
    assert hooked.open_files() == []


def test_a_silent_file_is_attached_anew_some_times(hooked: Hooked) -> None:
    hooked.attach(NAMED)
    for _ in range(MOST_REATTACHMENTS):
        assert told(hooked.attachments.reattach(hooked.key, str(hooked.path))) == [
            ("openssl", "hooked", "symbols")
        ]
        assert hooked.programs.names == ["read_enter"]
    assert hooked.attachments.reattach(hooked.key, str(hooked.path)) == []


def test_a_file_without_stacks_is_known_and_silent(hooked: Hooked) -> None:
    hooked.attach()
    assert hooked.key in hooked.attachments
    assert not hooked.attachments.has_stacks(hooked.key)
    assert hooked.announced(7) == []


def test_a_file_that_changes_during_its_trial_is_forgotten(hooked: Hooked) -> None:
    hooked.attach(LAYER)
    waiting = ConnectionKey(7, 1, 1000, time.monotonic_ns())
    hooked.attachments.trials.opened(waiting, hooked.key, "rustls")
    hooked.path.write_bytes(b"other code")
    assert not hooked.attachments.is_unchanged(hooked.key, os.stat(hooked.path))
    assert hooked.key not in hooked.attachments
    assert hooked.programs.attached == {}
    assert hooked.open_files() == []
    assert hooked.attachments.trials.first_bytes(waiting, NOISE) is None
