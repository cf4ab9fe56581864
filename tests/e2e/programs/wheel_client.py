"""Posts a body some times, as users of each library write it.

wheel_client.py LIBRARY URL CA BODY TIMES
"""

import asyncio
import os
import sys

LIBRARY, URL, CA, BODY_FILE, TIMES = sys.argv[1:]
with open(BODY_FILE, "rb") as file:
    BODY = file.read()
HEADERS = {"content-type": "application/json"}


def pycurl_library():
    import io

    import pycurl

    curl = pycurl.Curl()
    for _ in range(int(TIMES)):
        answer = io.BytesIO()
        curl.setopt(pycurl.URL, URL)
        curl.setopt(pycurl.CAINFO, CA)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json", "expect:"])
        curl.setopt(pycurl.POSTFIELDS, BODY)
        curl.setopt(pycurl.WRITEFUNCTION, answer.write)
        curl.perform()
        yield curl.getinfo(pycurl.RESPONSE_CODE), len(answer.getvalue())
    curl.close()


def pyopenssl_library():
    import http.client
    import socket
    from urllib.parse import urlsplit

    from OpenSSL import SSL

    parts = urlsplit(URL)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(CA)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    connection = SSL.Connection(context, socket.create_connection((parts.hostname, parts.port)))
    connection.set_connect_state()
    connection.do_handshake()
    for _ in range(int(TIMES)):
        head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        connection.sendall(head.encode() + BODY)
        answer = http.client.HTTPResponse(_Readable(connection))
        answer.begin()
        yield answer.status, len(answer.read())
    connection.shutdown()
    connection.close()


class _Readable:
    def __init__(self, connection):
        self._connection = connection

    def makefile(self, *_):
        import io

        return io.BufferedReader(_Raw(self._connection))


def _raw():
    import io

    class Raw(io.RawIOBase):
        def __init__(self, connection):
            self._connection = connection

        def readable(self):
            return True

        def readinto(self, buffer):
            return self._connection.recv_into(buffer)

    return Raw


_Raw = _raw()


def curl_cffi_library():
    from curl_cffi import requests

    session = requests.Session(verify=CA, http_version="v1")
    for _ in range(int(TIMES)):
        answer = session.post(URL, data=BODY, headers=HEADERS)
        yield answer.status_code, len(answer.content)
    session.close()


def curl_cffi_http2_library():
    from curl_cffi import requests

    session = requests.Session(verify=CA, http_version="v2")
    for _ in range(int(TIMES)):
        answer = session.post(URL, data=BODY, headers=HEADERS)
        yield answer.status_code, len(answer.content)
    session.close()


def rnet_library():
    import rnet

    async def post():
        client = rnet.Client(verify=CA)
        done = []
        for _ in range(int(TIMES)):
            answer = await client.post(URL, body=BODY, headers=HEADERS)
            done.append((answer.status, len(await answer.bytes())))
        return done

    yield from asyncio.run(post())


def pyreqwest_library():
    from pathlib import Path

    from pyreqwest.client import SyncClientBuilder

    builder = SyncClientBuilder().add_root_certificate_pem(Path(CA).read_bytes())
    with builder.build() as client:
        for _ in range(int(TIMES)):
            answer = client.post(URL).headers(HEADERS).body_bytes(BODY).build().send()
            yield answer.status, len(answer.bytes())


def pyreqwest_http1_library():
    from pathlib import Path

    from pyreqwest.client import SyncClientBuilder

    builder = SyncClientBuilder().http1_only().add_root_certificate_pem(Path(CA).read_bytes())
    with builder.build() as client:
        for _ in range(int(TIMES)):
            answer = client.post(URL).headers(HEADERS).body_bytes(BODY).build().send()
            yield answer.status, len(answer.bytes())


def httpr_library():
    import httpr

    client = httpr.Client(ca_cert_file=CA)
    for _ in range(int(TIMES)):
        answer = client.post(URL, content=BODY, headers=HEADERS)
        yield answer.status_code, len(answer.content)


def baseten_library():
    import json
    from urllib.parse import urlsplit

    from baseten_performance_client import PerformanceClient

    parts = urlsplit(URL)
    client = PerformanceClient(base_url=f"{parts.scheme}://{parts.netloc}", api_key="none")
    answers = client.batch_post(parts.path, [json.loads(BODY) | {"stream": False}] * int(TIMES))
    for answer in answers.data:
        yield 200, len(json.dumps(answer))


def mbedtls_library():
    import socket
    from urllib.parse import urlsplit

    from mbedtls import tls, x509

    parts = urlsplit(URL)
    with open(CA) as file:
        authority = x509.CRT.from_PEM(file.read())
    configuration = tls.TLSConfiguration(
        trust_store=tls.TrustStore([authority]), validate_certificates=True
    )
    context = tls.ClientContext(configuration)
    connection = context.wrap_socket(
        socket.create_connection((parts.hostname, parts.port)), server_hostname="localhost"
    )

    def wanting(step, *arguments):
        while True:
            try:
                return step(*arguments)
            except (tls.WantReadError, tls.WantWriteError):
                pass

    wanting(connection.do_handshake)
    for _ in range(int(TIMES)):
        head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        sending = memoryview(head.encode() + BODY)
        while sending:
            sending = sending[wanting(connection.send, sending) :]
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += wanting(connection.recv, 16384)
        yield int(answer.split(b" ", 2)[1]), len(answer)
    connection.close()


for status, size in globals()[f"{LIBRARY}_library"]():
    print(status, size)
if LIBRARY == "rnet":  # its threads now and then crash an interpreter that shuts down
    sys.stdout.flush()
    os._exit(0)
