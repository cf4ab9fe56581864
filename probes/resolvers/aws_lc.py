"""rustls on aws-lc inside a stripped file: Codex, deno, uv, Python wheels written in Rust.

In: an open `ElfFile`. Out: a `StackPlan` with the AEAD functions. rustls has no function that
takes plaintext and reports errors; below it, aws-lc encrypts one TLS record per call. These
functions report errors of library 30 (ERR_LIB_CIPHER) from `fipsmodule/cipher/aead.c`, each with
one reason of its own (aws-lc, include/openssl/cipher.h):

- `EVP_AEAD_CTX_seal`: TOO_LARGE. rustls seals with it, but for
- `EVP_AEAD_CTX_seal_scatter`: INVALID_OPERATION. AES-GCM in TLS 1.2 is sealed with it.
- `EVP_AEAD_CTX_open`: BAD_DECRYPT. rustls opens every record with it.
- `EVP_AEAD_CTX_open_gather`: CTRL_NOT_IMPLEMENTED.

`open` either calls `open_gather` or holds a copy of it. Where it calls, only `open` is hooked: a
record must not be seen twice. `seal` and `seal_scatter` call the cipher, not each other.
"""

from __future__ import annotations

from collections.abc import Iterable

from probes.elf import ElfFile
from probes.hooks import Hook, StackPlan
from probes.resolvers import x86
from probes.resolvers.error_sites import ErrorSite, error_sites
from probes.resolvers.functions import Function, Functions, probe_point
from probes.resolvers.scan import find_all, strings

_SOURCE = b"fipsmodule/cipher/aead.c"
_SSL_LAYER = b"ssl/ssl_lib.cc\0"
_RUSTLS = (b"rustls-0.", b"received corrupt message of type")
_RING = b"/ring-0."
_LIBRARY = 30
_SEAL, _SEAL_SCATTER, _OPEN, _OPEN_GATHER = 117, 112, 101, 104
_OWN = frozenset((_SEAL, _SEAL_SCATTER, _OPEN, _OPEN_GATHER))
_BYTES_APART = 1 << 20


def find(elf: ElfFile) -> StackPlan | None:
    """Hooks for rustls; None when the file has none, or has an SSL layer to hook instead."""
    files = strings(elf, _SOURCE)
    if not any(find_all(elf, text, limit=1) for text in _RUSTLS):
        return None
    if not files:
        return StackPlan(
            "rustls", "", (), "rustls without aws-lc: nothing tells its functions apart"
        )
    if find_all(elf, _SSL_LAYER, limit=1):
        return None
    sites = error_sites(elf, files, _LIBRARY)
    by_reason = _functions(sites, Functions(elf))
    seal, opened = by_reason.get(_SEAL), by_reason.get(_OPEN)
    if seal is None or opened is None:
        missing = " and ".join(
            name for name, one in (("seal", seal), ("open", opened)) if one is None
        )
        return StackPlan("rustls", "", (), f"aws-lc's AEAD functions are not certain: {missing}")
    if abs(seal.start - opened.start) > _BYTES_APART:
        return StackPlan("rustls", "", (), "aws-lc's seal and open are too far apart")
    scatter, gather = by_reason.get(_SEAL_SCATTER), by_reason.get(_OPEN_GATHER)
    if gather is not None and _calls(elf, opened, gather):
        gather = None
    named = [
        (name, one)
        for name, one in (
            ("seal", seal),
            ("open", opened),
            ("seal_scatter", scatter),
            ("open_gather", gather),
        )
        if one is not None
    ]
    detail = f"aws-lc's {', '.join(name for name, _ in named)} by their error reports"
    points = [(name, *probe_point(elf, one)) for name, one in named]
    if not all(cheap for _, _, cheap in points):
        detail += "; slow probe"
    if find_all(elf, _RING, limit=1):
        detail += "; ring is in the file too, and its use would not be seen"
    hooks = (hook for name, offset, _ in points for hook in _hooks(offset, name))
    return StackPlan("rustls", "aws_lc", tuple(hooks), detail)


def _hooks(offset: int, name: str) -> Iterable[Hook]:
    yield Hook(offset, f"aead_{name}_enter", at_return=False)
    if name.startswith("open"):
        yield Hook(offset, "aead_open_return", at_return=True)


def _functions(sites: list[ErrorSite], functions: Functions) -> dict[int, Function]:
    """The functions that are certain, by the reason that is their own."""
    reports: dict[Function, set[int]] = {}
    for site in sites:
        function = functions.around(site.offset)
        if function is None:
            if site.reason in _OWN:
                return {}
            continue
        reports.setdefault(function, set()).add(site.reason)
    found: dict[int, Function] = {}
    for reason in _OWN:
        # `open` may hold a copy of `open_gather`, nothing else may be in one function.
        allowed = {reason, _OPEN_GATHER} if reason == _OPEN else {reason}
        holders = [one for one, reasons in reports.items() if reason in reasons]
        if reason == _OPEN_GATHER:
            holders = [one for one in holders if _OPEN not in reports[one]]
        if len(holders) == 1 and reports[holders[0]] & _OWN <= allowed:
            found[reason] = holders[0]
    return found


def _calls(elf: ElfFile, caller: Function, callee: Function) -> bool:
    """Does a function call (or end in a jump to) another?"""
    code = elf.data[caller.start : caller.end]
    return any(caller.start + target == callee.start for _, target in x86.calls(code, b"\xe8\xe9"))
