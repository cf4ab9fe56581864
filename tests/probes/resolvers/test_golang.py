from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.hooks import StackPlan
from probes.resolvers import golang, pclntab, resolve, x86
from tests.probes.test_elf import LIBSSL, needs_libssl

GO = shutil.which("go")
needs_go = pytest.mark.skipif(GO is None, reason="no Go")

PROGRAM = """package main

import "C"
import "crypto/tls"

//export Talk
func Talk() int {
	connection, err := tls.Dial("tcp", "127.0.0.1:1", nil)
	if err != nil {
		return 1
	}
	defer connection.Close()
	connection.Write([]byte("x"))
	connection.Read(make([]byte, 10))
	return 0
}

func main() { Talk() }
"""
BUILDS = {
    "plain": [],
    "stripped": ["-ldflags=-s -w"],
    "external": ["-buildmode=pie", "-ldflags=-linkmode=external -s -w"],
    "c-shared": ["-buildmode=c-shared"],
}


def built(folder: Path, program: str, *options: str) -> Path:
    assert GO is not None
    source, path = folder / "main.go", folder / "program"
    source.write_text(program)
    cgo = "1" if 'import "C"' in program else "0"
    environment = os.environ | {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": cgo}
    subprocess.run(
        [GO, "build", *options, "-o", path, source], check=True, env=environment, timeout=110
    )
    return path


@pytest.fixture(scope="module", params=BUILDS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = BUILDS[request.param]
    pure = not any("external" in one or "c-shared" in one for one in options)
    text = PROGRAM.replace('import "C"\n', "") if pure else PROGRAM
    if shutil.which("gcc") is None and not pure:
        pytest.skip("no gcc")
    return built(tmp_path_factory.mktemp(request.param), text, *options)


def found(path: Path) -> StackPlan | None:
    with ElfFile(str(path)) as file:
        return golang.find(file)


@needs_go
def test_functions_are_found_however_it_was_built(program: Path) -> None:
    plan = found(program)
    assert plan is not None
    assert (plan.stack, plan.method) == ("go", "pclntab")
    assert plan.detail.startswith("go1.")
    programs = [hook.program for hook in plan.hooks]
    for name in ("go_read_enter", "go_write_enter"):
        assert programs.count(name) == 1
    assert programs.count("go_close_enter") <= 1
    assert programs.count("go_return") >= 2
    with ElfFile(str(program)) as file:
        for hook in plan.hooks:
            assert not hook.at_return
            assert file.is_executable(hook.offset)
            code = file.data[hook.offset : hook.offset + 6]
            assert code[0] == 0xC3 if hook.program == "go_return" else x86.is_emulated(code)


@needs_go
def test_hooks_agree_with_the_disassembler_of_go(tmp_path: Path) -> None:
    path = built(tmp_path, PROGRAM.replace('import "C"\n', ""))
    plan = found(path)
    assert plan is not None
    assert GO is not None
    for method in ("Read", "Write"):
        listing = subprocess.run(
            [GO, "tool", "objdump", "-s", rf"^crypto/tls\.\(\*Conn\)\.{method}$", path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        rows = re.findall(r"^\s+\S+:\d+\s+0x([0-9a-f]+)\s+[0-9a-f]+\s+(\w+)", listing, re.MULTILINE)
        with ElfFile(str(path)) as file:
            at = [(file.file_offset(int(address, 16)), name) for address, name in rows]
        returns = {offset for offset, name in at if name == "RET"}
        assert returns
        assert returns <= {hook.offset for hook in plan.hooks if hook.program == "go_return"}
        entry = next(
            hook.offset for hook in plan.hooks if hook.program == f"go_{method.lower()}_enter"
        )
        names = [name for offset, name in at if offset is not None and offset < entry]
        assert set(names) <= {"CMPQ", "LEAQ", "JBE"}


@needs_go
def test_a_program_without_tls_has_no_plan(tmp_path: Path) -> None:
    path = built(tmp_path, "package main\n\nfunc main() { println(1) }\n")
    with ElfFile(str(path)) as file:
        assert pclntab.is_go(file)
        table = pclntab.find(file)
        assert table is not None
        main = pclntab.function(file, table, "main.main")
        assert main is not None
        assert main.size > 0
        assert pclntab.function(file, table, "main.other") is None
    assert found(path) is None


@needs_go
def test_an_older_release_is_named(tmp_path: Path) -> None:
    path = built(tmp_path, PROGRAM.replace('import "C"\n', ""))
    with ElfFile(str(path)) as file:
        table = pclntab.find(file)
        assert table is not None
    content = bytearray(path.read_bytes())
    content[table.start] = 0xFA
    path.write_bytes(content)
    plan = found(path)
    assert plan is not None
    assert (plan.hooks, plan.method) == ((), "")
    assert plan.detail.endswith("older than 1.18")


@needs_go
def test_without_section_headers_the_table_is_searched(tmp_path: Path) -> None:
    path = built(tmp_path, PROGRAM.replace('import "C"\n', ""))
    before = found(path)
    content = bytearray(path.read_bytes())
    content[40:48] = bytes(8)
    path.write_bytes(content)
    after = found(path)
    assert before is not None
    assert after is not None
    assert after.hooks == before.hooks


@needs_go
def test_damaged_programs_never_raise(tmp_path: Path) -> None:
    path = built(tmp_path, PROGRAM.replace('import "C"\n', ""), "-ldflags=-s -w")
    with ElfFile(str(path)) as file:
        table = pclntab.find(file)
        assert table is not None
    whole = path.read_bytes()
    chance = random.Random(5)
    spots = [*range(64, 900), *range(table.start, table.start + 80)]
    spots += range(table.functions, table.functions + 200)
    for _ in range(25):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            content[chance.choice(spots)] = chance.randrange(256)
        path.write_bytes(content)
        plan = resolve(str(path))
        assert plan is None or all(stack.hooks or stack.detail for stack in plan.stacks)


@needs_libssl
def test_another_library_is_no_go() -> None:
    assert found(Path(str(LIBSSL))) is None


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("493b6610 0f8651030000 55", 10),  # cmp rsp, [r14+16]; jbe; push rbp
        ("493b6610 76aa 55 4889e5", 6),
        ("493b6610 76aa 4883ec68", 4),  # before Go 1.21: the jump itself
        ("4c8d6424b8 4d3b6610 0f86b3070000 55", 15),  # a large frame
        ("4c8da424c8feffff 4d3b6610 76aa 4881ec", 12),
        ("55 4889e5", 0),
        ("4883ec08 c3", 0),
        ("493b6610 4883ec68", 0),
        ("", 0),
    ],
)
def test_the_place_behind_the_stack_check(code: str, place: int) -> None:
    assert golang.entry(bytes.fromhex(code)) == place
