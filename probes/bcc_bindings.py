"""The only import of BCC, and the few calls of it that capture needs.

In: C text and defines. Out: a loaded `Programs`. BCC's Python side is ctypes only, so Debian's
copy loads into any Python 3; the package named `bcc` on PyPI is an unrelated library and is
told apart by its lack of `BPF`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probes.errors import UnderglassError

SEARCH = (
    Path("/usr/lib/python3/dist-packages/bcc"),
    Path("/usr/lib/python3/site-packages/bcc"),
    *Path("/usr/lib").glob("python3.*/site-packages/bcc"),
    *Path("/usr/lib64").glob("python3.*/site-packages/bcc"),
)
HEADER_TREE = Path(__file__).with_name("bpf") / "kernel"
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


class Programs:
    """Compiled BPF programs of one text, their maps and the uprobes attached to them."""

    def __init__(self, text: str, defines: dict[str, int]) -> None:
        """Compile and load. Raises BccUnavailable or ProgramsRejected."""
        bcc = load_bcc()
        os.environ["BCC_KERNEL_SOURCE"] = str(HEADER_TREE)
        flags = [f"-D{name}={value}" for name, value in defines.items()]
        flags += ["-Wno-macro-redefined", "-Wno-unused-command-line-argument"]
        self._lib = importlib.import_module("bcc.libbcc").lib
        self._kprobe_type = bcc.BPF.KPROBE
        self._functions: dict[str, int] = {}
        self._attached: list[int] = []
        with _captured_stderr() as said:
            try:
                self._bpf = bcc.BPF(text=text, cflags=flags)
            except Exception as error:  # BCC raises bare Exceptions
                failure: Exception | None = error
            else:
                failure = None
        if failure is not None:
            raise ProgramsRejected(
                f"the kernel or compiler refused the probes: {failure}\n{said[0][-2000:]}",
                hint="run `underglass doctor`; it names what this kernel lacks",
            ) from failure

    def table(self, name: str) -> Any:
        """A BCC table object."""
        return self._bpf[name]

    def map_fd(self, name: str) -> int:
        """File descriptor of a map."""
        return int(self._bpf[name].map_fd)

    def load_function(self, name: str) -> int:
        """Load one uprobe program; returns its descriptor. Raises ProgramsRejected."""
        if name not in self._functions:
            with _captured_stderr() as said:
                try:
                    descriptor = self._bpf.load_func(name, self._kprobe_type).fd
                except Exception as error:  # BCC raises bare Exceptions
                    failure: Exception | None = error
                else:
                    failure = None
            if failure is not None:
                raise ProgramsRejected(f"{name}: {failure}\n{said[0][-4000:]}") from failure
            self._functions[name] = descriptor
        return self._functions[name]

    def attach_uprobe(self, path: str, offset: int, function: str, *, at_return: bool) -> None:
        """Attach to a file offset of an executable or library, for every process.

        Raises OSError with the kernel's reason.
        """
        descriptor = self.load_function(function)
        event = f"{'r' if at_return else 'p'}_ug_{os.getpid()}_{offset:x}_{function}".encode()
        with _captured_stderr() as said:
            attached = self._lib.bpf_attach_uprobe(
                descriptor,
                1 if at_return else 0,
                event,
                path.encode(),
                ctypes.c_uint64(offset),
                ctypes.c_int(-1),
                ctypes.c_uint32(0),
            )
        if attached < 0:
            reason = said[0] or os.strerror(ctypes.get_errno())
            raise OSError(ctypes.get_errno(), f"{path}+{offset:#x}: {reason}")
        self._attached.append(attached)

    @property
    def attached(self) -> int:
        """How many uprobes are attached."""
        return len(self._attached)
