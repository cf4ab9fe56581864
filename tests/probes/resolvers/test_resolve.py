from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from probes import resolvers
from probes.elf import ElfFile
from probes.hooks import Hook, StackPlan
from probes.resolvers import resolve
from tests.probes.test_elf import LIBSSL, elf, needs_libssl

HOOKS = (Hook(0, "read_enter", False),)


def plan(stack: str, *, hooked: bool, method: str = "") -> StackPlan:
    return StackPlan(stack, method, HOOKS if hooked else (), method)


@needs_libssl
def test_a_library_has_one_stack_and_a_build_id() -> None:
    found = resolve(str(LIBSSL))
    assert found is not None
    assert [stack.stack for stack in found.stacks] == ["openssl"]
    with ElfFile(str(LIBSSL)) as file:
        assert found.build_id == file.build_id()
    assert found.path == str(LIBSSL)


def test_a_file_without_tls_has_no_stacks() -> None:
    found = resolve(str(Path(shutil.which("true") or sys.executable).resolve()))
    assert found is not None
    assert found.stacks == ()


def test_what_is_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert resolve(str(tmp_path / "script")) is None
    assert resolve(str(tmp_path / "none")) is None


def test_a_name_tells_a_library_that_hides_its_functions(tmp_path: Path) -> None:
    path = tmp_path / "7f00-7f01"
    path.write_bytes(elf())
    found = resolve(str(path), name="/usr/lib/libgnutls.so.30")
    assert found is not None
    assert [(stack.stack, stack.hooks) for stack in found.stacks] == [("gnutls", ())]
    assert found.stacks[0].detail


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[dict[str, object], Path]:
    """What each resolver says, to be set by the test; a file to ask about."""
    said: dict[str, object] = {"symbols": []}
    for name in ("golang", "nss"):
        module = getattr(resolvers, name)
        monkeypatch.setattr(module, "find", lambda *_, name=name: said.get(name))
    monkeypatch.setattr(resolvers.symbols, "find", lambda *_: said["symbols"])
    monkeypatch.setattr(
        resolvers,
        "_SSL_LAYERS",
        tuple(lambda _, name=name: said.get(name) for name in ("boringssl", "openssl_static")),
    )
    monkeypatch.setattr(
        resolvers,
        "_RUSTLS",
        tuple(lambda _, name=name: said.get(name) for name in ("rustls", "aws_lc")),
    )
    path = tmp_path / "file"
    path.write_bytes(elf())
    return said, path


def stacks(path: Path) -> list[tuple[str, bool]]:
    found = resolve(str(path))
    assert found is not None
    return [(stack.stack, bool(stack.hooks)) for stack in found.stacks]


def rustls_of(path: Path) -> StackPlan:
    found = resolve(str(path))
    assert found is not None
    (stack,) = found.stacks
    return stack


def test_a_cipher_is_not_hooked_below_a_ssl_layer(
    answers: tuple[dict[str, object], Path],
) -> None:
    said, path = answers
    said["aws_lc"] = plan("rustls", hooked=True)
    assert stacks(path) == [("rustls", True)]
    said["boringssl"] = plan("boringssl", hooked=True)
    assert stacks(path) == [("boringssl", True)]
    # rustls itself is no part of that layer.
    said["rustls"] = plan("rustls", hooked=True)
    assert stacks(path) == [("boringssl", True), ("rustls", True)]
    # OpenSSL has a cipher of its own.
    said["rustls"], said["boringssl"] = None, None
    said["openssl_static"] = plan("openssl", hooked=True)
    assert stacks(path) == [("openssl", True), ("rustls", True)]


def test_rustls_is_hooked_rather_than_the_cipher_below_it(
    answers: tuple[dict[str, object], Path],
) -> None:
    said, path = answers
    above = said["rustls"] = plan("rustls", hooked=True, method="rustls")
    assert rustls_of(path) == above
    below = said["aws_lc"] = plan("rustls", hooked=True, method="aws_lc")
    assert rustls_of(path) == replace(above, fallback=below)
    said["aws_lc"] = plan("rustls", hooked=False, method="aws_lc")
    assert rustls_of(path) == above
    said["rustls"] = plan("rustls", hooked=False, method="rustls")
    said["aws_lc"] = below
    assert rustls_of(path) == below


def test_rustls_that_cannot_be_hooked_is_told_once_with_its_own_reason(
    answers: tuple[dict[str, object], Path],
) -> None:
    said, path = answers
    said["aws_lc"] = plan("rustls", hooked=False, method="aws_lc")
    assert rustls_of(path).detail == "aws_lc"
    said["rustls"] = plan("rustls", hooked=False, method="rustls")
    assert rustls_of(path).detail == "rustls"


def test_below_a_ssl_layer_there_is_no_cipher_to_fall_back_on(
    answers: tuple[dict[str, object], Path],
) -> None:
    said, path = answers
    said["symbols"] = [plan("boringssl", hooked=True)]
    said["rustls"] = plan("rustls", hooked=True)
    said["aws_lc"] = plan("rustls", hooked=True)
    found = resolve(str(path))
    assert found is not None
    assert found.stacks[-1] == plan("rustls", hooked=True)


@pytest.mark.parametrize("named", ["openssl", "gnutls"])
def test_a_library_with_names_does_not_hide_rustls(
    named: str, answers: tuple[dict[str, object], Path]
) -> None:
    """A program may export one library and speak by the other."""
    said, path = answers
    said["symbols"] = [plan(named, hooked=True)]
    said["rustls"] = plan("rustls", hooked=True)
    assert stacks(path) == [(named, True), ("rustls", True)]
    said["rustls"], said["aws_lc"] = None, plan("rustls", hooked=True)
    assert stacks(path) == [(named, True), ("rustls", True)]


def test_code_is_not_searched_where_names_tell(answers: tuple[dict[str, object], Path]) -> None:
    said, path = answers
    said["boringssl"] = plan("boringssl", hooked=True)
    said["symbols"] = [plan("openssl", hooked=True)]
    assert stacks(path) == [("openssl", True)]
    said["symbols"] = [plan("openssl", hooked=False)]
    assert stacks(path) == [("openssl", False), ("boringssl", True)]
    said["symbols"] = [plan("wolfssl", hooked=True)]
    said["golang"] = plan("go", hooked=True)
    assert stacks(path) == [("wolfssl", True), ("go", True), ("boringssl", True)]
