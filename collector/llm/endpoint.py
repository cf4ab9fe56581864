"""Where a request goes: its host, its path, and the provider behind the host.

In: a request head. Out: names for `collector.llm` and `collector.pricing`. Provider names are
OpenTelemetry's `gen_ai.provider.name` values; providers it does not list follow its style.
"""

from __future__ import annotations

import re

from collector.http.events import RequestHead, header

PROVIDERS = (
    ("api.anthropic.com", "anthropic"),
    ("api.openai.com", "openai"),
    ("chatgpt.com", "openai"),
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("inference.ai.azure.com", "azure.ai.inference"),
    ("api.deepseek.com", "deepseek"),
    ("api.groq.com", "groq"),
    ("mistral.ai", "mistral_ai"),
    ("api.x.ai", "x_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cohere.ai", "cohere"),
    ("api.cohere.com", "cohere"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("amazonaws.com", "aws.bedrock"),
    ("ml.cloud.ibm.com", "ibm.watsonx.ai"),
    ("api.together.xyz", "together_ai"),
    ("api.together.ai", "together_ai"),
    ("api.fireworks.ai", "fireworks_ai"),
    ("openrouter.ai", "openrouter"),
    ("githubcopilot.com", "github_copilot"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.cerebras.ai", "cerebras"),
    ("api.z.ai", "z_ai"),
)


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


def provider_of(head: RequestHead, native: str) -> str:
    """The provider behind a request's host; `native`, the API's own, for hosts not listed."""
    if "/openai/deployments/" in head.target:
        return "azure.ai.openai"
    return _listed(host_of(head) or "") or native


def model_provider(host: str) -> str | None:
    """The provider whose models a lower-case host serves; None when it is not known to."""
    provider = _listed(host)
    other_cloud_service = provider == "aws.bedrock" and "bedrock" not in host
    return None if other_cloud_service else provider


def _listed(host: str) -> str | None:
    for suffix, provider in PROVIDERS:
        if host.endswith(suffix) and host[-len(suffix) - 1 : -len(suffix)] in ("", ".", "-"):
            return provider
    return None


class PostedTo:
    """`matches` and `provider` of an `Api` that is a POST to one path of any host."""

    path: re.Pattern[str]
    native_provider: str  # for hosts that `PROVIDERS` does not list

    def matches(self, head: RequestHead) -> bool:
        """Could this request be a call of this API?"""
        return head.method == "POST" and self.path.search(path_of(head)) is not None

    def provider(self, head: RequestHead) -> str:
        """The provider behind the host."""
        return provider_of(head, self.native_provider)
