from __future__ import annotations

import ssl
import stat
from pathlib import Path

from underglass.demo.certificates import agent_environment, ensure_certificates, server_context


def test_certificates_are_made_private_and_used_again(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path)
    files = [first.ca_path, first.server_path, first.bundle_path]
    made = [path.read_bytes() for path in files]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert ensure_certificates(tmp_path) == first
    assert [path.read_bytes() for path in files] == made
    assert made[0] in made[2]
    server_context(first)
    ssl.create_default_context(cafile=str(first.bundle_path))


def test_certificates_that_do_not_belong_together_are_made_anew(tmp_path: Path) -> None:
    old = ensure_certificates(tmp_path / "old").ca_path.read_bytes()
    made = ensure_certificates(tmp_path / "new")
    served = made.server_path.read_bytes()
    made.ca_path.write_bytes(old)
    ensure_certificates(tmp_path / "new")
    assert made.ca_path.read_bytes() != old
    assert made.server_path.read_bytes() != served


def test_agent_environment_points_at_the_stand_in(tmp_path: Path) -> None:
    certificates = ensure_certificates(tmp_path)
    environment = agent_environment("https://127.0.0.1:1", certificates)
    assert environment["ANTHROPIC_BASE_URL"] == "https://127.0.0.1:1"
    assert environment["OPENAI_BASE_URL"] == "https://127.0.0.1:1/v1"
    assert environment["SSL_CERT_FILE"] == str(certificates.bundle_path)
    assert "SSL_CERT_FILE" not in agent_environment("http://127.0.0.1:1", None)
