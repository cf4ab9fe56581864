"""Loaded BPF programs: maps made, programs verified, probes attached.

In: a `ProgramImage`, from the compiler or from the cache. Out: descriptors. Programs on libraries
are loaded when the first hook needs them, or ahead of that in threads: the kernel takes up to
0.15 s to verify one, too long for an agent that is about to make its first call. All goes when the
process ends.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence

from probes import bpf_syscall, maps
from probes.bcc_bindings import ProgramsRejected, compile_programs
from probes.private_file import cache_folder
from probes.program_image import FILE_NAME, ProgramImage, image_key, load_image, save_image

LOADING_THREADS = 4


class Programs:
    """Programs of one text, their maps, and the probes attached to them."""

    def __init__(
        self, text: str, defines: dict[str, int], sizes: Mapping[str, int] | None = None
    ) -> None:
        """Make the maps, those named in `sizes` with so many entries (rings: bytes) rather than as
        compiled: one image serves all sizes. Raises BccUnavailable or ProgramsRejected."""
        key, kept = image_key(text, defines), cache_folder() / FILE_NAME
        image = load_image(kept, key)
        self.compiled = image is None
        if image is None:
            image = compile_programs(text, defines)
            save_image(kept, key, image)
        self._image: ProgramImage = image
        self._maps: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        self._attached: dict[int, int] = {}  # probes by descriptor
        self._loading = threading.Lock()
        self._loaders: list[threading.Thread] = []
        self._gates: dict[str, threading.Lock] = {}  # one thread at a time loads a program
        try:
            for shape in image.maps:
                self._maps[shape.name] = bpf_syscall.map_create(
                    shape.kind,
                    shape.key_size,
                    shape.value_size,
                    (sizes or {}).get(shape.name, shape.entries),
                    shape.flags,
                    shape.name,
                )
        except OSError as error:
            raise ProgramsRejected(
                f"the kernel refused a map: {error}",
                hint="run `underglass doctor`; it names what this kernel lacks",
            ) from error

    def map_fd(self, name: str) -> int:
        """File descriptor of a map."""
        return self._maps[name]

    def table(
        self, name: str, key_type: type[maps.Key], value_type: type[maps.Value]
    ) -> maps.BpfMap[maps.Key, maps.Value]:
        """A map as a dictionary."""
        return maps.BpfMap(self._maps[name], key_type, value_type)

    def load_function(self, name: str, kind: int = bpf_syscall.PROGRAM_KPROBE) -> int:
        """Load a program; returns its descriptor. Raises ProgramsRejected."""
        with self._loading:
            gate = self._gates.setdefault(name, threading.Lock())
        with gate:
            return self._load(name, kind)

    def load_ahead(self, names: Iterable[str]) -> None:
        """Load programs on libraries in threads; one that is refused is left for later."""
        waiting = iter(tuple(names))
        taking = threading.Lock()

        def load() -> None:
            while True:
                with taking:
                    name = next(waiting, None)
                if name is None:
                    return
                try:
                    self.load_function(name)
                except ProgramsRejected:
                    pass  # whoever needs it is told

        for _ in range(min(LOADING_THREADS, os.cpu_count() or 1)):
            loader = threading.Thread(target=load, daemon=True)
            loader.start()
            self._loaders.append(loader)

    def wait_loaded(self) -> None:
        """Until what is loaded ahead is there: an agent that is let go has the processors for
        itself."""
        for loader in self._loaders:
            loader.join()
        self._loaders.clear()

    def _load(self, name: str, kind: int) -> int:
        if name not in self._functions:
            code = self._image.programs.get(name)
            if code is None:
                raise ProgramsRejected(f"there is no program {name}")
            patched = bytearray(code)
            for index, to in self._image.references[name]:
                struct.pack_into("<i", patched, index * 8 + 4, self._maps[to])
            try:
                self._functions[name] = bpf_syscall.program_load(kind, bytes(patched), name)
            except OSError as error:
                raise ProgramsRejected(
                    f"the kernel refused {name}: {error.strerror}",
                    hint="run `underglass doctor`; it names what this kernel lacks",
                ) from error
        return self._functions[name]

    def attach_raw_tracepoint(self, tracepoint: str, function: str) -> None:
        """Attach for good. Raises ProgramsRejected."""
        program = self.load_function(function, bpf_syscall.PROGRAM_RAW_TRACEPOINT)
        try:
            bpf_syscall.raw_tracepoint_open(tracepoint, program)
        except OSError as error:
            raise ProgramsRejected(f"raw tracepoint {tracepoint}: {error}") from error

    def attach_tracepoint(self, category: str, name: str, function: str) -> None:
        """Attach for good. Raises ProgramsRejected."""
        program = self.load_function(function, bpf_syscall.PROGRAM_TRACEPOINT)
        try:
            bpf_syscall.tracepoint_open(category, name, program)
        except OSError as error:
            raise ProgramsRejected(f"tracepoint {category}/{name}: {error}") from error

    def attach_uprobes(
        self, path: str, offsets: Sequence[int], function: str, *, at_return: bool
    ) -> list[int]:
        """Attach to offsets of an executable or library, for every process.

        Returns the descriptors that keep it attached. Raises OSError with the kernel's reason,
        or ProgramsRejected.
        """
        program = self.load_function(function)
        try:
            opened = bpf_syscall.uprobes_open(path, offsets, program, at_return=at_return)
        except OSError as error:
            places = ", ".join(f"{offset:#x}" for offset in offsets)
            raise OSError(error.errno, f"{path}+{places}: {error.strerror}") from error
        self._attached |= opened
        return list(opened)

    def detach_uprobes(self, descriptors: Iterable[int]) -> None:
        """Take probes out. The kernel waits at each, a tenth of a second and more: together."""
        ours = [one for one in descriptors if self._attached.pop(one, None)]
        closing = [threading.Thread(target=os.close, args=(one,)) for one in ours]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def chain(self, table: str, slot: int, function: str) -> None:
        """Let a raw tracepoint program be called through a slot of a program array."""
        program = self.load_function(function, bpf_syscall.PROGRAM_RAW_TRACEPOINT)
        slots = self.table(table, ctypes.c_uint32, ctypes.c_uint32)
        slots[ctypes.c_uint32(slot)] = ctypes.c_uint32(program)

    @property
    def attached(self) -> int:
        """How many uprobes are attached."""
        return sum(self._attached.values())
