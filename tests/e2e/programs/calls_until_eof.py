"""A call every 100 ms until standard input is closed; a line in a file for each answer."""

import json
import os
import select
import ssl
import sys
from http.client import HTTPSConnection
from urllib.parse import urlsplit

server = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
trusting = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
connection = HTTPSConnection(server.hostname or "", server.port, context=trusting)
number = 0
with open(sys.argv[1], "w", buffering=1) as out:
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        number += 1
        message = {"role": "user", "content": f"id={sys.argv[2]}x{number}"}
        body = {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": [message]}
        connection.request(
            "POST", "/v1/messages", json.dumps(body), {"content-type": "application/json"}
        )
        out.write(json.loads(connection.getresponse().read())["id"] + "\n")
