"""Loaded BPF programs: maps made, programs verified, probes attached.

In: a `ProgramImage`, from the compiler or from the cache. Out: descriptors. Programs on libraries
are loaded when the first hook needs them. All goes when the process ends.
"""

from __future__ import annotations

import ctypes
import os
import struct

from probes import bpf_syscall, maps
from probes.bcc_bindings import ProgramsRejected, compile_programs
from probes.private_file import cache_folder
from probes.program_image import FILE_NAME, ProgramImage, image_key, load_image, save_image


class Programs:
    """Programs of one text, their maps, and the probes attached to them."""

    def __init__(self, text: str, defines: dict[str, int]) -> None:
        """Make the maps. Raises BccUnavailable or ProgramsRejected."""
        key, kept = image_key(text, defines), cache_folder() / FILE_NAME
        image = load_image(kept, key)
        self.compiled = image is None
        if image is None:
            image = compile_programs(text, defines)
            save_image(kept, key, image)
        self._image: ProgramImage = image
        self._maps: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        self._attached: set[int] = set()
        try:
            for shape in image.maps:
                self._maps[shape.name] = bpf_syscall.map_create(
                    shape.kind,
                    shape.key_size,
                    shape.value_size,
                    shape.entries,
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

    def attach_uprobe(self, path: str, offset: int, function: str, *, at_return: bool) -> int:
        """Attach to a file offset of an executable or library, for every process.

        Returns the descriptor that keeps it attached. Raises OSError with the kernel's reason,
        or ProgramsRejected.
        """
        program = self.load_function(function)
        try:
            attached = bpf_syscall.uprobe_open(path, offset, program, at_return=at_return)
        except OSError as error:
            raise OSError(error.errno, f"{path}+{offset:#x}: {error.strerror}") from error
        self._attached.add(attached)
        return attached

    def detach_uprobe(self, descriptor: int) -> None:
        """Take one probe out."""
        if descriptor in self._attached:
            self._attached.discard(descriptor)
            os.close(descriptor)

    def chain(self, table: str, function: str) -> None:
        """Let a raw tracepoint program be called through slot 0 of a program array."""
        program = self.load_function(function, bpf_syscall.PROGRAM_RAW_TRACEPOINT)
        slots = self.table(table, ctypes.c_uint32, ctypes.c_uint32)
        slots[ctypes.c_uint32(0)] = ctypes.c_uint32(program)

    @property
    def attached(self) -> int:
        """How many uprobes are attached."""
        return len(self._attached)
