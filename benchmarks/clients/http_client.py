"""Round trips over one connection of http.client: http_client.py URL CA_FILE.

For each line of input, a number, it makes so many and prints the nanoseconds they took.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from urllib.parse import urlsplit


def main() -> None:
    url = urlsplit(sys.argv[1])
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=sys.argv[2])
        connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=context)
    body = json.dumps({"text": "q" * 53})
    headers = {"content-type": "application/json"}
    for line in sys.stdin:
        began = time.perf_counter_ns()
        for _ in range(int(line)):
            connection.request("POST", "/", body, headers)
            connection.getresponse().read()
        print(time.perf_counter_ns() - began, flush=True)


main()
