"""Requests on one connection that are no LLM calls, then one call on another.

Goes on until the file named by the first argument exists, then for as many as the second says.
"""

import http.client
import os
import ssl
import sys
from urllib.parse import urlsplit

from openai import OpenAI

url = urlsplit(os.environ["OPENAI_BASE_URL"])
other = http.client.HTTPSConnection(url.hostname, url.port, context=ssl.create_default_context())


def request() -> None:
    other.request("GET", "/status")
    other.getresponse().read()


while not os.path.exists(sys.argv[1]):
    request()
for _ in range(int(sys.argv[2])):
    request()
OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "id=other"}]
)
