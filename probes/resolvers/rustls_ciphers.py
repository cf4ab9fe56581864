"""Record encryption of rustls 0.23 in stripped files: which methods, by the tables they are in.

In: an open `ElfFile`. Out: encrypters, and ciphers with both directions, as addresses of code.

rustls calls its cipher suites through trait objects, so their method tables (vtables: drop, size,
alignment, methods in source order) stay in stripped files:

1. `encrypted_payload_len` adds a constant to its argument and is like no other function: 17 in
   TLS 1.3 (content type and tag), 24 (explicit nonce and tag) and 16 in TLS 1.2.
2. Its pointers are the last words of the encrypters' tables; the word before is `encrypt`.
3. One function per cipher mentions an encrypter's table: `Tls13AeadAlgorithm::encrypter` or
   `Tls12AeadAlgorithm::encrypter`. In that trait's table `decrypter` is the next method.
4. `decrypter` mentions exactly one table of an object: the decrypter's. Its method is `decrypt`.

A cipher for which a step has none or several results is left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from probes.elf import ElfFile
from probes.resolvers.functions import Functions
from probes.resolvers.pointers import Pointers
from probes.resolvers.scan import code, references

TLS13_GROWTH = 17
# lea rax, [rsi+d8]; ret, also between push rbp; mov rbp, rsp and pop rbp
_PAYLOAD_LENGTH = re.compile(rb"\x48\x8d\x46([\x10\x11\x18])\x5d?\xc3")
_FRAME = b"\x55\x48\x89\xe5"
_POP_FRAME = 0x5D
# mov rdi, [rdi]; jmp d32, also with a frame pointer; or only the jmp
_FORWARDS = (b"\x55\x48\x89\xe5\x48\x8b\x3f\x5d\xe9", b"\x48\x8b\x3f\xe9", b"\xe9")
_FORWARDS_OPEN = frozenset(form[0] for form in _FORWARDS)
_LEA = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]")
# cmp qword [rdx], 0, or mov r64, [rdx]; test r64, r64
_TESTS_CHUNKS = re.compile(rb"\x48\x83\x3a\x00|[\x48\x4c]\x8b[\x02-\x3a][\x48\x4d]\x85[\xc0-\xff]")
_PROLOGUE = 64
_LONGEST = 1 << 12
_LARGEST_OBJECT = 1 << 12
_ALIGNMENTS = (8, 16, 32, 64)
_WORD = 8


@dataclass(frozen=True, slots=True)
class Table:
    """A trait object's table: its address, the object's size in bytes and its first method."""

    address: int
    size: int
    method: int


@dataclass(frozen=True, slots=True)
class Cipher:
    """Both directions of one kind of record encryption; addresses of code."""

    encrypt: int
    decrypt: int
    growth: int  # bytes that a record gains


class Search:
    """The steps of the search in one file."""

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._pointers = Pointers(elf)
        self._functions = Functions(elf)

    def encrypters(self) -> dict[Table, int]:
        """Tables of encrypters, with how many bytes each adds to a record."""
        return {
            table: growth
            for function, growth in self._payload_lengths()
            for holder in self._pointers.holders(function)
            if (table := self._table(holder - 4 * _WORD)) is not None
        }

    def _payload_lengths(self) -> Iterator[tuple[int, int]]:
        """Addresses of `encrypted_payload_len`, with what each adds."""
        data = self._elf.data
        for part in code(self._elf):
            for match in _PAYLOAD_LENGTH.finditer(data, part.offset, part.offset + part.file_size):
                offset = match.start()
                if data[match.end() - 2] == _POP_FRAME:
                    offset -= len(_FRAME)
                    if data[offset : match.start()] != _FRAME:
                        continue
                yield part.address + offset - part.offset, match[1][0]

    def _table(self, address: int) -> Table | None:
        """The table of a trait object at an address, when what lies there can be one."""
        word = self._pointers.word
        size, alignment = word(address + _WORD), word(address + 2 * _WORD)
        if alignment not in _ALIGNMENTS or not size or size > _LARGEST_OBJECT or size % alignment:
            return None
        drop, method = word(address), word(address + 3 * _WORD)
        if drop is None or method is None or not self._pointers.is_code(method):
            return None
        return Table(address, size, method) if not drop or self._pointers.is_code(drop) else None

    def tests_chunks(self, encrypt: int) -> bool:
        """Does `encrypt` begin by testing the first word of its message?"""
        offset = self._elf.file_offset(encrypt)
        return offset is not None and bool(
            _TESTS_CHUNKS.search(self._elf.data[offset : offset + _PROLOGUE])
        )

    def ciphers(self, encrypters: dict[Table, int]) -> list[Cipher]:
        """The encrypters with the decrypter that each belongs to."""
        tables = {table.address: table for table in encrypters}
        decrypts: dict[Table, set[int | None]] = defaultdict(set)
        makers: dict[int, Table] = {}
        for reference in references(self._elf, tables):
            for maker in self._starts(reference.offset):
                makers[maker] = tables[reference.target]
        for maker, table in [*makers.items(), *self._forwards(makers)]:
            for holder in self._pointers.holders(maker):
                if self._is_factory(holder - 3 * _WORD):
                    decrypter = self._pointers.word(holder + _WORD)
                    decrypts[table].add(self._decrypt(decrypter, tables))
        found = set()
        for table, growth in encrypters.items():
            only = decrypts[table]
            decrypt = next(iter(only)) if len(only) == 1 else None
            growths = {encrypters[one] for one in encrypters if one.method == table.method}
            if decrypt is not None and len(growths) == 1:
                found.add(Cipher(table.method, decrypt, growth))
        return sorted(found, key=lambda one: (one.encrypt, one.decrypt))

    def _is_factory(self, address: int) -> bool:
        """Can the table of an algorithm lie here? It holds at most a reference or two."""
        word = self._pointers.word
        drop, size, alignment = (word(address + at * _WORD) for at in range(3))
        return (
            drop is not None
            and (not drop or self._pointers.is_code(drop))
            and size in (0, 8, 16, 24, 32, 40)
            and alignment in (1, 8)
        )

    def _starts(self, offset: int, known: int | None = None) -> set[int]:
        """Addresses where the function around a file offset may begin.

        One that an unwind entry gives is certain. Else: the nearest earlier place that data
        points at, or `known`, an address known to begin a function; and what opens like one.
        """
        function = self._functions.around(offset)
        opened = None if function is None else self._elf.address_of(function.start)
        address = self._elf.address_of(offset)
        nearest = None
        if address is not None and not (function is not None and function.exact):
            nearest = self._pointers.nearest_code(address, _LONGEST, known)
        return {one for one in (opened, nearest) if one is not None}

    def _forwards(self, makers: dict[int, Table]) -> Iterator[tuple[int, Table]]:
        """Functions that only call a maker with the inner object; data points at them."""
        data = self._elf.data
        for part in code(self._elf):
            shift = part.offset - part.address
            for function in self._pointers.functions_in(part):
                if data[function + shift] in _FORWARDS_OPEN:
                    maker = makers.get(self._forwarded(function))
                    if maker is not None and function not in makers:
                        yield function, maker

    def _decrypt(self, decrypter: int | None, encrypters: dict[int, Table]) -> int | None:
        """`decrypt` of the one table that a decrypter's maker mentions."""
        if decrypter is None or not self._pointers.is_code(decrypter):
            return None
        data = self._elf.data
        begin = self._forwarded(decrypter)
        offset = self._elf.file_offset(begin)
        if offset is None:
            return None
        body = data[offset : offset + _LONGEST]
        found = set()
        for match in _LEA.finditer(body, 0, len(body) - 4):
            end = match.end() + 4
            distance = int.from_bytes(body[match.end() : end], "little", signed=True)
            table = self._table(begin + end + distance)
            if (
                table is not None
                and table.address not in encrypters
                and begin in self._starts(offset + match.start(), begin)
            ):
                found.add(table.method)
        return found.pop() if len(found) == 1 else None

    def _forwarded(self, function: int) -> int:
        """The function that this one forwards to, or itself."""
        offset = self._elf.file_offset(function)
        for form in _FORWARDS if offset is not None else ():
            assert offset is not None
            if self._elf.data[offset : offset + len(form)] == form:
                at = offset + len(form)
                distance = int.from_bytes(self._elf.data[at : at + 4], "little", signed=True)
                return function + len(form) + 4 + distance
        return function
