"""One keep-alive connection; a line on standard input is one request: asked_client.py URL CA BODY.

`whole`: read all of the answer. `part`: read its beginning alone. `rest`: read what is left.
`drop`: close the connection. Each line is answered with one that says how many bytes were read.
"""

import http.client
import ssl
import sys
from urllib.parse import urlsplit

url, ca, body_file = urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
with open(body_file, "rb") as file:
    body = file.read()
connection = http.client.HTTPSConnection(
    url.netloc, context=ssl.create_default_context(cafile=ca), timeout=30
)
answer = None
print("ready", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word in ("whole", "part"):
        connection.request("POST", url.path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        print(len(answer.read() if word == "whole" else answer.read(16)), flush=True)
    elif word == "rest":
        print(len(answer.read()), flush=True)
    elif word == "drop":
        connection.close()
        print(0, flush=True)
