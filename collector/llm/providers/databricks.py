"""Databricks model serving: `/serving-endpoints` of a workspace, which serves more than models."""

from __future__ import annotations

from collector.http.events import RequestHead
from collector.llm.endpoint import host_of, path_of
from collector.llm.provider import Provider

_WORKSPACES = (".cloud.databricks.com", ".azuredatabricks.net", ".gcp.databricks.com")
_PATHS = ("/serving-endpoints/", "/ai-gateway/")


def _by_path(head: RequestHead) -> bool:
    host = host_of(head) or ""
    return host.endswith(_WORKSPACES) and path_of(head).startswith(_PATHS)


PROVIDER = Provider(
    name="databricks",
    claims=_by_path,
)
