"""Cloudflare: Workers AI, and the AI Gateway in front of other providers.

`https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1` is Workers AI;
`https://gateway.ai.cloudflare.com/v1/{account}/{gateway}/{provider}` forwards to the provider that
the path names. Behind `/compat` the model's name says which, and the request's head does not.
"""

from __future__ import annotations

import re

from collector.http.events import RequestHead
from collector.llm.endpoint import host_of, path_of
from collector.llm.provider import Provider

_GATEWAY = "gateway.ai.cloudflare.com"
_WORKERS_AI = re.compile(r"^/client/v4/accounts/[^/]+/ai/")
_FORWARDED = re.compile(r"^/v1/[^/]+/[^/]+/([^/]+)/")
_NAMES = {  # the gateway's word for a provider -> its name
    "anthropic": "anthropic",
    "aws-bedrock": "aws.bedrock",
    "azure-openai": "azure.ai.openai",
    "baseten": "baseten",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google-ai-studio": "gcp.gemini",
    "google-vertex-ai": "gcp.vertex_ai",
    "grok": "x_ai",
    "groq": "groq",
    "huggingface": "huggingface",
    "mistral": "mistral_ai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity-ai": "perplexity",
}


def _by_path(head: RequestHead) -> bool:
    return host_of(head) == "api.cloudflare.com" and _WORKERS_AI.match(path_of(head)) is not None


def _forwarded_to(head: RequestHead) -> str | None:
    found = _FORWARDED.match(path_of(head))
    return _NAMES.get(found[1]) if found and host_of(head) == _GATEWAY else None


PROVIDER = Provider(
    name="cloudflare",
    hosts=(_GATEWAY,),
    claims=_by_path,
    forwards_to=_forwarded_to,
)
