from __future__ import annotations

import pytest

from collector.request_headers import attempt_of, credential_of, idempotency_key_of


@pytest.mark.parametrize(
    ("name", "value", "attempt"),
    [
        ("x-stainless-retry-count", "0", 1),
        ("x-stainless-retry-count", "2", 3),
        ("x-stainless-retry-count", "-1", None),
        ("x-stainless-retry-count", "many", None),
        ("x-stainless-retry-count", "9" * 50, None),
        ("amz-sdk-request", "attempt=1", 1),
        ("amz-sdk-request", "attempt=2; max=3", 2),
        ("amz-sdk-request", "ttl=20261121T120000Z; attempt=3; max=3", 3),
        ("amz-sdk-request", "attempt=0", None),
        ("amz-sdk-request", "max=3", None),
        ("x-other", "1", None),
    ],
)
def test_attempts(name: str, value: str, attempt: int | None) -> None:
    assert attempt_of(((name, value),)) == attempt


def test_keys() -> None:
    assert credential_of((("authorization", "Bearer [redacted:0a1b2c3d]"),)) == "0a1b2c3d"
    assert credential_of((("authorization", "Bearer x"),)) is None
    assert idempotency_key_of((("idempotency-key", "k-1"),)) == "k-1"
    assert idempotency_key_of((("x-idempotency-key", "k-2"),)) == "k-2"
    assert idempotency_key_of(()) is None
