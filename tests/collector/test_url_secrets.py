"""Of a URL no more than its host is shown."""

from __future__ import annotations

import pytest

from collector.url_secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:s3cret@host.org:8443/s3cret?s3cret#s3cret", "https://host.org:8443/…"),
        (
            "curl -d @- 'http://127.0.0.1/s3cret' and more",
            "curl -d @- 'http://127.0.0.1/…' and more",
        ),
        ("https://a/s3cret https://b?s3cret", "https://a/… https://b/…"),
        ("notify-send x", "notify-send x"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
