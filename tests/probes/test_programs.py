"""Loading of programs, ahead of need and together with it; the kernel is played."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from probes import bpf_syscall, programs
from probes.bcc_bindings import ProgramsRejected
from probes.private_file import FOLDER_VARIABLE
from probes.program_image import MapShape, ProgramImage
from tests.e2e.conftest import wait_for

NAMES = ["slow", "quick", "refused", "last"]


class Kernel:
    """Takes programs; `slow` when told to, `refused` never."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.reached, self.go_on = threading.Event(), threading.Event()

    def load(self, kind: int, instructions: bytes, name: str) -> int:
        if name == "slow":
            self.reached.set()
            assert self.go_on.wait(20)
        if name == "refused":
            raise OSError(22, "no")
        self.loaded.append(name)
        return len(self.loaded)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    played = Kernel()
    monkeypatch.setattr(bpf_syscall, "program_load", played.load)
    return played


@pytest.fixture
def loader(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> programs.Programs:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    image = ProgramImage((), dict.fromkeys(NAMES, b"\0" * 8), dict.fromkeys(NAMES, ()))
    monkeypatch.setattr(programs, "compile_programs", lambda text, defines: image)
    return programs.Programs("", {})


def test_a_program_is_loaded_once(kernel: Kernel, loader: programs.Programs) -> None:
    assert loader.load_function("quick") == loader.load_function("quick") == 1
    assert kernel.loaded == ["quick"]


def test_what_is_loaded_ahead_holds_up_only_who_needs_it(
    kernel: Kernel, loader: programs.Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "LOADING_THREADS", 1)
    loader.load_ahead(["slow", "last"])
    assert kernel.reached.wait(20)
    loader.load_function("quick")
    assert kernel.loaded == ["quick"]
    kernel.go_on.set()
    loader.load_function("slow")
    loader.load_function("last")
    assert sorted(kernel.loaded) == ["last", "quick", "slow"]


def test_a_refusal_ahead_of_need_is_told_when_it_is_needed(
    kernel: Kernel, loader: programs.Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "LOADING_THREADS", 1)
    loader.load_ahead(["refused", "last", "unknown"])
    wait_for(lambda: kernel.loaded == ["last"], "the program after the refused one")
    with pytest.raises(ProgramsRejected, match="refused"):
        loader.load_function("refused")


def test_one_image_serves_rings_of_every_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    shapes = (MapShape("ring", 27, 0, 0, 4096, 0), MapShape("table", 1, 4, 4, 64, 0))
    compiled: list[str] = []
    made: list[tuple[str, int]] = []

    def compile_once(text: str, defines: dict[str, int]) -> ProgramImage:
        compiled.append(text)
        return ProgramImage(shapes, {}, {})

    def create(kind: int, key: int, value: int, entries: int, flags: int, name: str) -> int:
        made.append((name, entries))
        return len(made)

    monkeypatch.setattr(programs, "compile_programs", compile_once)
    monkeypatch.setattr(bpf_syscall, "map_create", create)
    programs.Programs("text", {})
    programs.Programs("text", {}, {"ring": 8192})
    assert compiled == ["text"]
    assert made == [("ring", 4096), ("table", 64), ("ring", 8192), ("table", 64)]
