"""Where to hook a file: every method of finding TLS functions, one module each.

In: a path. Out: a `FilePlan`. Order: names first, then what is cheap and certain, then the
searches through all code, each only where nothing before it can see the same bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

from probes.elf import ElfFile, NotElf
from probes.hooks import FilePlan, StackPlan
from probes.resolvers import aws_lc, boringssl, golang, nss, openssl_static, rustls, symbols

_SSL_LAYERS = (boringssl.find, openssl_static.find)
# rustls first: its records pass whichever cipher library does the work, and some files have two.
# aws_lc hooks the cipher itself, which BoringSSL's SSL layer in the same file would use too;
# OpenSSL has a cipher of its own. Never both: they see the same records. But where rustls hands
# records over in another layout than is known, the cipher's still holds.
_RUSTLS = (rustls.find, aws_lc.find)
_SSL_STACKS = frozenset(("openssl", "boringssl"))


def _first(
    elf: ElfFile, resolvers: tuple[Callable[[ElfFile], StackPlan | None], ...]
) -> list[StackPlan]:
    """The first plan with hooks; without one what was recognised, once a stack."""
    refused: dict[str, StackPlan] = {}
    for find in resolvers:
        plan = find(elf)
        if plan is not None and plan.hooks:
            return [plan]
        if plan is not None:
            refused[plan.stack] = plan
    return list(refused.values())


def _rustls(elf: ElfFile, *, shares_cipher: bool) -> list[StackPlan]:
    """The first plan with hooks, and the next to fall back on; else why the first has none."""
    ways = _RUSTLS[:1] if shares_cipher else _RUSTLS
    plans = [plan for find in ways if (plan := find(elf)) is not None]
    hooked = [plan for plan in plans if plan.hooks]
    if not hooked:
        return plans[:1]
    return [replace(hooked[0], fallback=hooked[1] if len(hooked) > 1 else None)]


def _stacks(elf: ElfFile, name: str) -> Iterator[StackPlan]:
    named = symbols.find(elf, name)
    yield from named
    for plan in (golang.find(elf), nss.find(elf, name)):
        if plan is not None:
            yield plan
    ssl = [plan for plan in named if plan.stack in _SSL_STACKS and plan.hooks]
    if not ssl:
        ssl = _first(elf, _SSL_LAYERS)
        yield from ssl
    shares_cipher = any(plan.stack == "boringssl" and plan.hooks for plan in ssl)
    yield from _rustls(elf, shares_cipher=shares_cipher)


def resolve(path: str, name: str = "") -> FilePlan | None:
    """How to hook a file; None when it is no readable ELF file.

    `name`: the file's path as its users know it, where `path` does not tell (map_files). A stack
    that is recognised and cannot be hooked has no hooks and a detail that says why.
    """
    try:
        with ElfFile(path) as elf:
            stacks = tuple(_stacks(elf, os.path.basename(name or path)))
            return FilePlan(path, elf.build_id(), stacks)
    except (NotElf, OSError, struct.error, IndexError, OverflowError):
        return None  # the last three: a damaged file
