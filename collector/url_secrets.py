"""URLs as they may be shown: webhooks and proxies hold credentials in them.

In: text that may contain URLs. Out: the same with no more of each than its scheme and host.
"""

from __future__ import annotations

import re

_URL = re.compile(r"(https?://)(?:[^/\s'\"@]*@)?([^/\s'\"?#]+)[^\s'\"]*")


def without_secrets(text: str) -> str:
    """`https://user:key@host/path?key` becomes `https://host/…`."""
    return _URL.sub(r"\1\2/…", text)
