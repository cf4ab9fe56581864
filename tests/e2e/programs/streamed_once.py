"""One streamed answer of Messages, over TLS, with nothing but the standard library.

Arguments: words of the answer, each with a file; it reads no further until that is there.
"""

import http.client
import json
import os
import ssl
import sys
import time
from urllib.parse import urlsplit

base = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
connection = http.client.HTTPSConnection(
    base.hostname, base.port, context=ssl.create_default_context()
)
asked = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 100,
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me slowly."}],
}
headers = {"content-type": "application/json", "x-api-key": "none"}
connection.request("POST", "/v1/messages", json.dumps(asked), headers)
response = connection.getresponse()
seen = b""
for word, gate in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    while word.encode() not in seen:
        seen += response.read1(256)
    while not os.path.exists(gate):
        time.sleep(0.01)
while response.read1():
    pass
