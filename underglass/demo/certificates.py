"""A certificate authority for tests, a certificate for the loopback, and an agent's environment.

In: a directory. Out: PEM files in it (mode 0600), made once and used again while they are valid,
and the environment variables that make an unmodified agent trust the authority and call the
stand-in instead of a provider.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_NAMES = ("localhost", "127.0.0.1", "::1")
_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority, the server's key and chain, the authority with the public ones."""

    ca_path: Path
    server_path: Path
    bundle_path: Path

    @classmethod
    def in_directory(cls, directory: Path) -> Certificates:
        """Where the files are, or will be."""
        return cls(directory / "ca.pem", directory / "server.pem", directory / "bundle.pem")


def ensure_certificates(directory: Path) -> Certificates:
    """The certificates in `directory`, made when missing or within a day of their end."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificates.in_directory(directory)
    with open(directory / ".certificates.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _usable(made):
            _make(made)
    return made


def server_context(
    certificates: Certificates,
    *,
    alpn: Sequence[str] = ("http/1.1",),
    tls: str | None = None,
    cipher: str | None = None,
) -> ssl.SSLContext:
    """A server's TLS context. `tls` (1.2 or 1.3) allows one version alone.

    `cipher` is OpenSSL's name of one for TLS 1.2; those of TLS 1.3 come from `cipher_environment`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_path)
    context.set_alpn_protocols(list(alpn))
    if tls is not None:
        context.minimum_version = context.maximum_version = _TLS_VERSIONS[tls]
    if cipher is not None and not cipher.startswith("TLS_"):
        context.set_ciphers(cipher)
    return context


def cipher_environment(directory: Path, cipher: str) -> dict[str, str]:
    """Variables for a new process in which OpenSSL takes one TLS 1.3 cipher suite alone.

    Python's `ssl` cannot choose it; OpenSSL's configuration, read at start, can.
    """
    path = directory / f"openssl-{cipher}.cnf"
    path.write_text(
        "openssl_conf = all\n[all]\nssl_conf = tls\n[tls]\nsystem_default = every\n"
        f"[every]\nCiphersuites = {cipher}\n"
    )
    return {"OPENSSL_CONF": str(path.resolve())}


def agent_environment(base_url: str, certificates: Certificates | None) -> dict[str, str]:
    """Variables that point agents at a stand-in; `certificates` is None for plain HTTP.

    For the SDKs of Anthropic, OpenAI, Google and Ollama, litellm, mini-swe-agent, Claude Code,
    Codex, Gemini CLI, Node, curl.
    """
    environment = {
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_API_KEY": "sk-ant-dummy",
        "OPENAI_BASE_URL": f"{base_url}/v1",
        "OPENAI_API_BASE": f"{base_url}/v1",
        "OPENAI_API_KEY": "sk-dummy",
        "GOOGLE_GEMINI_BASE_URL": base_url,
        "GEMINI_API_KEY": "dummy",
        "OLLAMA_HOST": base_url,
        "NO_PROXY": "localhost,127.0.0.1,::1",
        "no_proxy": "localhost,127.0.0.1,::1",
        "DO_NOT_TRACK": "1",
        "CI": "1",
        "IS_SANDBOX": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MSWEA_CONFIGURED": "true",
        "MSWEA_SILENT_STARTUP": "1",
    }
    if certificates is not None:
        bundle = str(certificates.bundle_path)
        environment |= {
            "SSL_CERT_FILE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            "CURL_CA_BUNDLE": bundle,
            "CODEX_CA_CERTIFICATE": bundle,
            "NODE_EXTRA_CA_CERTS": str(certificates.ca_path),
        }
    return environment


def _usable(certificates: Certificates) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        served = x509.load_pem_x509_certificates(certificates.server_path.read_bytes())[0]
        authority = x509.load_pem_x509_certificate(certificates.ca_path.read_bytes())
        served.verify_directly_issued_by(authority)
        bundle = certificates.bundle_path.read_bytes()
    except (OSError, ValueError, TypeError, IndexError, InvalidSignature):
        return False
    ends = min(served.not_valid_after_utc, authority.not_valid_after_utc)
    return certificates.ca_path.read_bytes() in bundle and ends > datetime.now(UTC) + timedelta(1)


def _make(certificates: Certificates) -> None:
    import trustme

    authority = trustme.CA(organization_name="underglass demo")
    served = authority.issue_cert(*_NAMES)
    ca_pem = authority.cert_pem.bytes()
    _write(certificates.ca_path, ca_pem)
    _write(certificates.server_path, served.private_key_and_cert_chain_pem.bytes())
    _write(certificates.bundle_path, ca_pem + _public_authorities())


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
    partial.replace(path)


def _public_authorities() -> bytes:
    """The authorities that the machine trusts anyway, or none."""
    candidates = [ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_BUNDLES]
    try:
        candidates.append(importlib.import_module("certifi").where())
    except ImportError:
        pass
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate).read_bytes()
    return b""
