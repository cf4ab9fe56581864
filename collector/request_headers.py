"""What the headers of a request say beside its body: whose key, which attempt, which request.

In: redacted request headers. Out: to `collector.calls` and `collector.provider_requests`.
"""

from __future__ import annotations

import re

from collector.http.events import Headers, header

_CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
_FINGERPRINT = re.compile(r"\[redacted:([0-9a-f]{8})\]")
_IDEMPOTENCY = ("idempotency-key", "x-idempotency-key")
_SDK_REQUEST = re.compile(r"(?:^|[;\s])attempt=(\d{1,3})(?:;|$)")
_KEY_CHARS = 256


def credential_of(headers: Headers) -> str | None:
    """The fingerprint of the key that a request was made with."""
    value = next((found for name in _CREDENTIALS if (found := header(headers, name))), None)
    match = _FINGERPRINT.search(value) if value else None
    return match[1] if match else None


def attempt_of(headers: Headers) -> int | None:
    """Which attempt a request is, 1 for the first, as its client counts.

    `x-stainless-retry-count` of the SDKs of OpenAI, Anthropic and others made with Stainless
    counts retries; `amz-sdk-request: attempt=2; max=3` of AWS's SDKs counts attempts.
    """
    retries = (header(headers, "x-stainless-retry-count") or "").strip()
    if retries.isascii() and retries.isdigit() and len(retries) < 4:
        return int(retries) + 1
    attempt = _SDK_REQUEST.search((header(headers, "amz-sdk-request") or "").strip())
    return int(attempt[1]) or None if attempt else None


def initiator_of(headers: Headers) -> str | None:
    """Who asked, as GitHub Copilot's clients say it: `user` or `agent`."""
    said = header(headers, "x-initiator")
    return said if said in ("user", "agent") else None


def idempotency_key_of(headers: Headers) -> str | None:
    """The key by which a client says that two requests are the same one."""
    value = next((found for name in _IDEMPOTENCY if (found := header(headers, name))), None)
    return value[:_KEY_CHARS] if value else None
