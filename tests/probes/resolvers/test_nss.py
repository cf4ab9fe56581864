from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.hooks import StackPlan
from probes.resolvers import nss, x86
from tests.probes.test_elf import LIBSSL, needs_libssl

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/libssl3.so")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")

SLOTS = ("connect", "shutdown", "close", "recv", "send", "read", "write")
SHARED = ("bind", "listen", "getpeername", "getsockname")
ORDER = (
    *("connect", "", "bind", "listen", "shutdown", "close"),
    *("recv", "send", "read", "write", "getpeername", "getsockname"),
)


def table(name: str, order: tuple[str, ...] = ORDER) -> str:
    slots = ", ".join(
        "0" if not slot else slot if slot in SHARED else f"{name}_{slot}" for slot in order
    )
    return f"void *const {name}_ops[12] = {{ {slots} }};\n"


def source(*, wrappers: bool = True) -> str:
    """A library with tables like NSS's."""
    lines = ["volatile int calls;"]
    for number, slot in enumerate(SHARED):
        lines.append(f"int {slot}(void *s) {{ return calls += {number}; }}")
    inner = ("recv", "send")
    for kind, base in (("plain", 10), ("secure", 30)):
        for number, slot in enumerate((*inner, *(one for one in SLOTS if one not in inner))):
            body = f"return calls += {base + number};"
            arguments = "void *s, void *b, int n, int flags"
            if kind == "secure" and slot in ("read", "write"):
                arguments = "void *s, void *b, int n"
                target = "recv" if slot == "read" else "send"
                body = f"return secure_{target}(s, b, n, 0);" if wrappers else body
            if kind == "secure" and slot == "close":
                body = "calls++; return plain_close(s, 0, 0, 0);"
            lines.append(f"__attribute__((noinline)) int {kind}_{slot}({arguments}) {{ {body} }}")
    return "\n".join(lines) + "\n" + table("plain") + table("secure")


def built(folder: Path, text: str, *options: str) -> Path:
    path = folder / "libfolded.so"
    (folder / "nss.c").write_text("int SSL_ImportFD(void) { return 1; }\n" + text)
    exports = folder / "exports"
    exports.write_text("{ global: SSL_ImportFD; local: *; };")
    command = ["gcc", "-O2", "-shared", "-fPIC", "-s", f"-Wl,--version-script={exports}"]
    # Tables that nothing refers to would be dropped.
    keep = "void *tables(int n) { return n ? (void *)plain_ops : (void *)secure_ops; }\n"
    with (folder / "nss.c").open("a") as file:
        file.write(f"__attribute__((used)) {keep}" if "secure_ops" in text else "")
    subprocess.run([*command, *options, "-o", path, folder / "nss.c"], check=True)
    return path


def found(path: Path) -> StackPlan | None:
    with ElfFile(str(path)) as file:
        return nss.find(file, path.name)


def programs(plan: StackPlan | None) -> list[str]:
    assert plan is not None
    assert plan.stack == "nss"
    return sorted(hook.program for hook in plan.hooks if not hook.at_return)


@needs_gcc
@pytest.mark.parametrize("options", [(), ("-Wl,-z,pack-relative-relocs",)], ids=["rela", "relr"])
def test_wrappers_of_recv_and_send_are_left_out(tmp_path: Path, options: tuple[str, ...]) -> None:
    plan = found(built(tmp_path, source(), *options))
    assert programs(plan) == ["free_enter", "nss_recv_enter", "nss_write_enter"]
    assert plan is not None
    assert plan.method == "nss"


@needs_gcc
def test_reads_and_writes_of_their_own_are_hooked(tmp_path: Path) -> None:
    plan = found(built(tmp_path, source(wrappers=False)))
    assert programs(plan) == [
        "free_enter",
        "nss_read_enter",
        "nss_recv_enter",
        "nss_write_enter",
        "nss_write_enter",
    ]


@needs_gcc
def test_a_file_without_the_tables_is_named(tmp_path: Path) -> None:
    plan = found(built(tmp_path, "int other(void) { return 2; }\n"))
    assert plan == StackPlan("nss", "", (), "0 tables of operations found")


@needs_gcc
def test_two_secure_tables_are_one_too_many(tmp_path: Path) -> None:
    text = source() + "".join(
        f"__attribute__((noinline)) int third_{slot}(void *s) {{ "
        + (
            "calls++; return plain_close(s, 0, 0, 0); }"
            if slot == "close"
            else f"return calls += {70 + number}; }}"
        )
        + "\n"
        for number, slot in enumerate(SLOTS)
    )
    text += table("third") + (
        "__attribute__((used)) void *third_table(void) { return (void *)third_ops; }\n"
    )
    plan = found(built(tmp_path, text))
    assert plan == StackPlan("nss", "", (), "2 tables of operations found")


@needs_libssl
def test_another_library_is_none() -> None:
    assert found(Path(str(LIBSSL))) is None


@pytest.mark.skipif(not LIBRARY.exists(), reason="no libssl3.so")
def test_the_nss_of_this_machine() -> None:
    plan = found(LIBRARY)
    assert programs(plan) == ["free_enter", "nss_recv_enter", "nss_write_enter"]
    assert plan is not None
    with ElfFile(str(LIBRARY)) as file:
        for hook in plan.hooks:
            assert file.is_executable(hook.offset)
            assert x86.is_emulated(file.data[hook.offset : hook.offset + 2])
