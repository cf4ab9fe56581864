"""Many requests on one connection that are no LLM calls, then one call on another."""

import http.client
import os
import ssl
import sys
from urllib.parse import urlsplit

from openai import OpenAI

url = urlsplit(os.environ["OPENAI_BASE_URL"])
other = http.client.HTTPSConnection(url.hostname, url.port, context=ssl.create_default_context())
for _ in range(int(sys.argv[1])):
    other.request("GET", "/v1/models")
    other.getresponse().read()
OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "id=other"}]
)
