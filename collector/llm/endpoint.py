"""Where a request goes: its host and its path.

In: a request head. Out: to the API modules beside this one and their registry.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from collector.http.events import RequestHead, header

_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)/")


def path_of(head: RequestHead) -> str:
    """The path of a request target, without query, trailing slash, or scheme and authority."""
    target = head.target
    if target.startswith(("http://", "https://")):
        target = "/" + target.partition("//")[2].partition("/")[2]
    return target.partition("?")[0].partition("#")[0].rstrip("/")


def host_of(head: RequestHead) -> str | None:
    """The lower-case host that a request names, without its port; None when it names none."""
    authority = header(head.headers, "host") or header(head.headers, ":authority")
    if not authority and head.target.startswith(("http://", "https://")):
        authority = head.target.partition("//")[2].partition("/")[0]
    if not authority:
        return None
    name = authority.rpartition("@")[2].lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".") or None


def deployment_of(head: RequestHead) -> str | None:
    """The deployment that a path of Azure OpenAI names; None where it names none."""
    found = _DEPLOYMENT.search(path_of(head))
    return unquote(found[1]) if found else None


class PostedTo:
    """`matches` of an `Api` that is a POST to one path of any host."""

    path: re.Pattern[str]

    def matches(self, head: RequestHead) -> bool:
        """Could this request be a call of this API?"""
        return head.method == "POST" and self.path.search(path_of(head)) is not None
