"""BoringSSL inside a stripped file: Bun, Claude Code, opencode, gRPC, curl-impersonate.

In: an open `ElfFile`. Out: a `StackPlan` with `SSL_read` and `SSL_write`. Both report errors of
library 16 (ERR_LIB_SSL) from `ssl/ssl_lib.cc` (BoringSSL, include/openssl/err.h and ssl.h):

- `SSL_write` alone reports BAD_LENGTH, and SHOULD_NOT_HAVE_BEEN_CALLED some lines above.
- `SSL_read` begins with `SSL_peek`, which compilers inline, and which reports
  SHOULD_NOT_HAVE_BEEN_CALLED on the largest line above that of `SSL_write`. Line numbers rank
  functions as the source does; addresses do not. Of the two copies only `SSL_read` then removes
  what it has copied, which is an `add` to a pointer in memory.
- `SSL_new` alone reports NULL_SSL_CTX, right after it has tested its first argument.
"""

from __future__ import annotations

import re

from probes.elf import ElfFile
from probes.hooks import Hook, StackPlan
from probes.resolvers.error_sites import ErrorSite, error_sites
from probes.resolvers.functions import Function, Functions, probe_point
from probes.resolvers.scan import strings

_SOURCE = b"ssl/ssl_lib.cc"
_LIBRARY = 16
_SHOULD_NOT_HAVE_BEEN_CALLED, _BAD_LENGTH, _NULL_SSL_CTX = 66, 111, 185
_LINES_APART = 60  # from SSL_peek's check to that of SSL_write, both some twenty lines long
_BYTES_APART = 1 << 20
_ADD_TO_MEMORY = re.compile(rb"[\x48\x49\x4c\x4d]\x01[\x40-\xbf]", re.DOTALL)  # add [r+d], r64
_TEST_FIRST = re.compile(rb"\x48\x85\xff(?:\x0f\x84(....)|\x74(.))", re.DOTALL)  # test rdi; je
_OPENING_BYTES = 64


def find(elf: ElfFile) -> StackPlan | None:
    """Hooks for BoringSSL's SSL layer; None when the file has none."""
    files = strings(elf, _SOURCE)
    if not files:
        return None
    sites = error_sites(elf, files, _LIBRARY)
    functions = Functions(elf)
    write = _write(sites, functions)
    if isinstance(write, str):
        return _not_found(write)
    read = _read(elf, sites, functions, write[1])
    if isinstance(read, str):
        return _not_found(read)
    if abs(read.start - write[0].start) > _BYTES_APART:
        return _not_found("SSL_read and SSL_write are too far apart to be believed")
    (at_read, cheap_read), (at_write, cheap_write) = (
        probe_point(elf, read),
        probe_point(elf, write[0]),
    )
    hooks = [
        Hook(at_read, "boringssl_read_enter", at_return=False),
        Hook(at_read, "call_return", at_return=True),
        Hook(at_write, "boringssl_write_enter", at_return=False),
        Hook(at_write, "call_return", at_return=True),
    ]
    new = _new(elf, sites, functions)
    if new is not None:
        hooks.append(Hook(probe_point(elf, new)[0], "boringssl_new_return", at_return=True))
    detail = f"SSL_read, SSL_write{', SSL_new' if new else ''} by their error reports"
    if not (cheap_read and cheap_write):
        detail += "; slow probe"
    return StackPlan("boringssl", "boringssl", tuple(hooks), detail)


def _not_found(why: str) -> StackPlan:
    return StackPlan("boringssl", "", (), why)


def _write(sites: list[ErrorSite], functions: Functions) -> tuple[Function, int] | str:
    """SSL_write, and the line of its first check; or why not."""
    lengths = [site for site in sites if site.reason == _BAD_LENGTH]
    places = {function for site in lengths if (function := functions.around(site.offset))}
    if len(places) != 1 or len({site.line for site in lengths}) != 1:
        return f"SSL_write is not certain: {len(places)} functions report BAD_LENGTH"
    write = places.pop()
    checks = {
        site.line
        for site in sites
        if site.reason == _SHOULD_NOT_HAVE_BEEN_CALLED and write.start <= site.offset < write.end
    }
    if len(checks) != 1 or not 0 < lengths[0].line - min(checks) < _LINES_APART:
        return "SSL_write is not certain: its other error reports are not where they belong"
    return write, checks.pop()


def _read(
    elf: ElfFile, sites: list[ErrorSite], functions: Functions, write_line: int
) -> Function | str:
    """SSL_read, or why not."""
    above = [
        site
        for site in sites
        if site.reason == _SHOULD_NOT_HAVE_BEEN_CALLED
        and write_line - _LINES_APART < site.line < write_line
    ]
    line = max((site.line for site in above), default=0)
    copies = {functions.around(site.offset) for site in above if site.line == line}
    removing = [
        one for one in copies if one and _ADD_TO_MEMORY.search(elf.data[one.start : one.end])
    ]
    if len(removing) != 1 or len(copies) > 2:
        return f"SSL_read is not certain: {len(removing)} of {len(copies)} places fit"
    return removing[0]


def _new(elf: ElfFile, sites: list[ErrorSite], functions: Functions) -> Function | None:
    """SSL_new, when it is certain."""
    reports = [site for site in sites if site.reason == _NULL_SSL_CTX]
    if len(reports) != 1:
        return None
    site = reports[0]
    function = functions.around(site.offset)
    if function is None:
        return None
    opening = elf.data[function.start : function.start + _OPENING_BYTES]
    tested = _TEST_FIRST.search(opening)
    if tested is None:
        return None
    distance = int.from_bytes(tested[1] or tested[2], "little", signed=True)
    target = function.start + tested.end() + distance
    return function if site.first <= target <= site.offset else None
