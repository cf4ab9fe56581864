"""A TLS conversation of known bytes, inside one process, over no network and without certificates.

In: nothing. Out: each line on standard input makes one exchange, and one line on standard output
tells the bytes that the client side wrote and read; a file that does not exist is opened, too. It
answers one question: do the probes deliver, exactly, what a real OpenSSL encrypts and decrypts
here, and what a process does? Started by `probes.preflight`.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import sys

REQUEST = b"GET /underglass-canary HTTP/1.1\r\nhost: canary\r\n\r\n"
NO_FILE = "/underglass-canary"
RESPONSE = b"HTTP/1.1 204 No Content\r\n\r\n"


def _context(purpose: int) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")  # anonymous: needs no certificate
    return context


def converse() -> None:
    """Handshake in memory, then one request and one response."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _context(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(to_client, to_server)
    server = _context(ssl.PROTOCOL_TLS_SERVER).wrap_bio(to_server, to_client, server_side=True)
    pending = [client, server]
    while pending:
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                pass
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(NO_FILE, os.O_RDONLY))
    client.write(REQUEST)
    if server.read(len(REQUEST)) != REQUEST:
        raise RuntimeError("TLS in memory does not work here")
    server.write(RESPONSE)
    if client.read(len(RESPONSE)) != RESPONSE:
        raise RuntimeError("TLS in memory does not work here")


def main() -> None:
    """One conversation a line."""
    for _ in sys.stdin:
        converse()
        print(len(REQUEST), len(RESPONSE), flush=True)


if __name__ == "__main__":
    main()
