"""The only import of BCC: the compiler of the probes.

In: C text and defines. Out: a `ProgramImage`. BCC's Python side is ctypes only, so Debian's
copy loads into any Python 3; the package named `bcc` on PyPI is an unrelated library and is
told apart by its lack of `BPF`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probes import bpf_syscall
from probes.errors import UnderglassError
from probes.program_image import MapShape, ProgramImage

SEARCH = (
    Path("/usr/lib/python3/dist-packages/bcc"),
    Path("/usr/lib/python3/site-packages/bcc"),
    *Path("/usr/lib").glob("python3.*/site-packages/bcc"),
    *Path("/usr/lib64").glob("python3.*/site-packages/bcc"),
)
HEADER_TREE = Path(__file__).with_name("bpf") / "kernel"
_LOAD_64 = 0x18
_PSEUDO_MAP = 1
INSTALL_HINT = "sudo apt-get install python3-bpfcc"


class BccUnavailable(UnderglassError):
    """BCC is not installed, or what is called bcc is another library."""

    exit_code = 3


class ProgramsRejected(UnderglassError):
    """The BPF programs did not compile or the kernel refused them."""

    exit_code = 3


@contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """BCC and clang write to file descriptor 2 past `sys.stderr`: collect that instead."""
    said: list[str] = []
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            said.append(sink.read().decode("utf-8", "replace").strip())


def load_bcc() -> Any:
    """The `bcc` module with `BPF` in it. Raises BccUnavailable."""
    loaded = sys.modules.get("bcc")
    if loaded is not None and hasattr(loaded, "BPF"):
        return loaded
    for folder in SEARCH:
        init = folder / "__init__.py"
        if not init.exists():
            continue
        spec = importlib.util.spec_from_file_location(
            "bcc", init, submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules["bcc"] = module
        try:
            with _captured_stderr():
                spec.loader.exec_module(module)
        except (ImportError, OSError, AttributeError) as error:
            del sys.modules["bcc"]
            raise BccUnavailable(f"BCC cannot be loaded: {error}", hint=INSTALL_HINT) from error
        if hasattr(module, "BPF"):
            return module
        del sys.modules["bcc"]
    raise BccUnavailable("BCC is not installed", hint=INSTALL_HINT)


def compile_programs(text: str, defines: dict[str, int]) -> ProgramImage:
    """Compile C with BCC. Raises BccUnavailable or ProgramsRejected.

    BCC makes the maps of the text while it compiles; their shapes are read and they go again.
    """
    bcc = load_bcc()
    os.environ["BCC_KERNEL_SOURCE"] = str(HEADER_TREE)
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    flags += ["-Wno-macro-redefined", "-Wno-unused-command-line-argument"]
    lib = importlib.import_module("bcc.libbcc").lib
    lib.bpf_num_tables.restype = ctypes.c_size_t  # these two lack declarations
    lib.bpf_num_tables.argtypes = [ctypes.c_void_p]
    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_table_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with _captured_stderr() as said:
        try:
            compiled = bcc.BPF(text=text.encode(), cflags=flags)
        except Exception as error:  # BCC raises bare Exceptions
            failure: Exception | None = error
        else:
            failure = None
    if failure is not None:
        raise ProgramsRejected(
            f"the kernel or compiler refused the probes: {failure}\n{said[0][-2000:]}",
            hint="run `underglass doctor`; it names what this kernel lacks",
        ) from failure
    module = compiled.module
    maps: list[MapShape] = []
    by_descriptor: dict[int, str] = {}
    for index in range(lib.bpf_num_tables(module)):
        name = lib.bpf_table_name(module, index).decode()
        descriptor = int(lib.bpf_table_fd(module, name.encode()))
        by_descriptor[descriptor] = name
        maps.append(MapShape(name, *bpf_syscall.map_info(descriptor)))
    programs: dict[str, bytes] = {}
    references: dict[str, tuple[tuple[int, str], ...]] = {}
    for index in range(lib.bpf_num_functions(module)):
        function = lib.bpf_function_name(module, index)
        size = lib.bpf_function_size(module, function)
        code = ctypes.string_at(lib.bpf_function_start(module, function), size)
        name = function.decode()
        programs[name] = code
        references[name] = tuple(_map_references(code, by_descriptor))
    compiled.cleanup()
    return ProgramImage(tuple(maps), programs, references)


def _map_references(code: bytes, names: dict[int, str]) -> Iterator[tuple[int, str]]:
    """(index of the instruction, name of the map) of each load of a map's address."""
    index = 0
    while index * 8 < len(code):
        opcode, registers, _, value = struct.unpack_from("<BBhi", code, index * 8)
        if opcode == _LOAD_64:
            if registers >> 4 == _PSEUDO_MAP:
                yield index, names[value]
            index += 1  # it takes two slots
        index += 1
