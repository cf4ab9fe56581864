"""Snowflake Cortex: `/api/v2/cortex/v1` of an account, whose host serves more than models.

Chat Completions and Anthropic's Messages ("Cortex REST API").
"""

from __future__ import annotations

from collector.http.events import RequestHead
from collector.llm.endpoint import host_of, path_of
from collector.llm.provider import Provider


def _by_path(head: RequestHead) -> bool:
    host = host_of(head) or ""
    return host.endswith(".snowflakecomputing.com") and "/cortex/" in path_of(head)


PROVIDER = Provider(
    name="snowflake",
    claims=_by_path,
)
