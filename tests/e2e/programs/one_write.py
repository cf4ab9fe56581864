"""One request in one SSL_write, over a plain blocking TLS socket. Prints the response's status."""

import json
import os
import socket
import ssl
import sys
from urllib.parse import urlsplit

size = int(sys.argv[1])
url = urlsplit(os.environ["OPENAI_BASE_URL"])
body = json.dumps(
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "id=big " + "y" * size}]}
).encode()
head = (
    f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\n"
    f"Content-Type: application/json\r\nAuthorization: Bearer sk-dummy-0123456789abcdef\r\n"
    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
).encode()
context = ssl.create_default_context()
with (
    socket.create_connection((url.hostname, url.port)) as plain,
    context.wrap_socket(plain, server_hostname=url.hostname) as tls,
):
    if tls.write(head + body) != len(head) + len(body):
        sys.exit("more than one write")
    answer = b""
    while data := tls.recv(65536):
        answer += data
print(answer.split(b"\r\n", 1)[0].decode())
