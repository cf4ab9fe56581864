"""rustls 0.23 with any crypto provider (ring, aws-lc), where one TLS record is encrypted.

In: an open `ElfFile`. Out: a `StackPlan` with hooks on `MessageEncrypter::encrypt` and
`MessageDecrypter::decrypt`, or None when the file holds no rustls. How they are found:
`probes.resolvers.rustls_ciphers`. Other releases pass records in other layouts and are named,
not hooked. That `encrypt` tests the first word of its message is the proof of the layout that
`bpf/rustls.bpf.c` reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from probes.elf import ElfFile
from probes.hooks import Hook, StackPlan
from probes.resolvers.rustls_ciphers import TLS13_GROWTH, Cipher, Search
from probes.resolvers.scan import constants, find_all, occurrences
from probes.resolvers.x86 import is_emulated

METHOD = "rustls"
_SOURCE = re.compile(rb"[/\\_](rustls|ring|aws-lc-rs)-(\d+\.\d+\.\d+)[/\\]src[/\\]")
_RELEASE = "0.23."


def find(elf: ElfFile) -> StackPlan | None:
    """How to hook rustls in this file; None when no trace of it is there."""
    if not find_all(elf, b"rustls", 1):
        return None
    versions = _versions(elf)
    search = Search(elf)
    encrypters = search.encrypters()
    known = {version for name, version in versions if name == "rustls"}
    supported = {version for version in known if version.startswith(_RELEASE)}
    if not encrypters and not known:
        return None  # only mentioned, as in the documentation of an option
    if known and not supported:
        return _not_found(versions, f"only rustls {_RELEASE}x is understood")
    if not encrypters:
        return _not_found(versions, "its encrypters were not found")
    if not any(search.tests_chunks(table.method) for table in encrypters):
        return _not_found(versions, "its messages have another layout")
    ciphers = search.ciphers(encrypters)
    if not any(one.growth == TLS13_GROWTH for one in ciphers):
        return _not_found(versions, "its decrypters of TLS 1.3 are not certain")
    detail = f"record encryption of {_named(versions)}"
    if known - supported:
        detail += f"; rustls {', '.join(sorted(known - supported))} is not hooked"
    missing = {table.method for table in encrypters} - {one.encrypt for one in ciphers}
    if missing:
        detail += f"; {len(missing)} ciphers are not hooked"
    hooks = tuple(_hooks(elf, ciphers))
    if not all(is_emulated(elf.data[hook.offset : hook.offset + 2]) for hook in hooks):
        detail += "; slow probe"
    return StackPlan("rustls", METHOD, hooks, detail)


def _not_found(versions: list[tuple[str, str]], why: str) -> StackPlan:
    return StackPlan("rustls", "", (), f"{_named(versions)}: {why}")


def _hooks(elf: ElfFile, ciphers: Iterable[Cipher]) -> Iterator[Hook]:
    seen = set()
    for one in ciphers:
        name = "rustls" if one.growth == TLS13_GROWTH else "rustls12"
        for address, program, at_return in (
            (one.encrypt, f"{name}_seal_enter", False),
            (one.decrypt, "rustls_open_enter", False),
            (one.decrypt, f"{name}_open_return", True),
        ):
            offset = elf.file_offset(address)
            if offset is not None and (offset, program) not in seen:
                seen.add((offset, program))
                yield Hook(offset, program, at_return)


def _versions(elf: ElfFile) -> list[tuple[str, str]]:
    """Names and versions of rustls and its providers, from the source paths of panics."""
    found = set()
    for part in constants(elf):
        for name in (b"rustls-", b"ring-", b"aws-lc-rs-"):
            for at in occurrences(elf, name, part.offset, part.offset + part.file_size):
                match = _SOURCE.match(elf.data[at - 1 : at + 64])
                if match:
                    found.add((match[1].decode(), match[2].decode()))
    return sorted(found)


def _named(versions: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions) or "rustls"
