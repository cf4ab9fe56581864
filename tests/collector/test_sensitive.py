from __future__ import annotations

import pytest

from collector.sensitive import (
    KERNEL_NAME_BYTES,
    is_own,
    kernel_names,
    sensitive_files,
    sensitivity,
)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/home/u/.ssh/id_rsa", "ssh_key"),
        ("/home/u/.ssh/work", "ssh_key"),
        ("/backup/id_ed25519", "ssh_key"),
        ("/etc/ssh/ssh_host_rsa_key", "ssh_key"),
        ("/srv/app/.env", "environment_file"),
        ("/srv/app/.env.production", "environment_file"),
        (".env", "environment_file"),
        ("/srv/app/prod.env", "environment_file"),
        ("/proc/4242/environ", "process_environment"),
        ("/root/.netrc", "login_credentials"),
        ("/root/.git-credentials", "login_credentials"),
        ("/root/.config/gh/hosts.yml", "login_credentials"),
        ("/root/.npmrc", "registry_credentials"),
        ("/root/.pypirc", "registry_credentials"),
        ("/root/.docker/config.json", "registry_credentials"),
        ("/root/.aws/credentials", "cloud_credentials"),
        ("/root/.kube/config", "cloud_credentials"),
        ("/root/.config/gcloud/application_default_credentials.json", "cloud_credentials"),
        ("/root/.config/gcloud/legacy_credentials/me/adc.json", "cloud_credentials"),
        ("/root/.azure/msal_token_cache.json", "cloud_credentials"),
        ("/root/.gnupg/private-keys-v1.d/AB.key", "gpg_key"),
        ("/etc/letsencrypt/live/x/privkey.pem", "private_key"),
        ("/srv/tls/site.key", "private_key"),
        ("/root/.password-store/mail/me.gpg", "password_store"),
        ("/root/.mozilla/firefox/x.default/logins.json", "browser_store"),
        ("/root/.bitcoin/wallet.dat", "wallet"),
        ("/srv/infra/terraform.tfstate", "terraform_state"),
        ("/root/.bash_history", "shell_history"),
        ("/root/.claude/.credentials.json", "agent_credentials"),
        ("/root/.codex/auth.json", "agent_credentials"),
        ("/root/.gemini/oauth_creds.json", "agent_credentials"),
        ("/etc/passwd", "system_accounts"),
        ("/var/lib/machines/c/etc/passwd", "system_accounts"),
        ("/etc/shadow", "system_passwords"),
        ("/etc/sudoers", "sudo_rules"),
        ("/etc/sudoers.d/90-cloud", "sudo_rules"),
    ],
)
def test_why_a_file_is_sensitive(path: str, reason: str) -> None:
    assert sensitivity(path) == reason


@pytest.mark.parametrize(
    "path",
    [
        "/home/u/.ssh/id_rsa.pub",
        "/home/u/.ssh/known_hosts",
        "/home/u/.ssh/config",
        "/srv/app/.env.example",
        "/srv/app/environment.py",
        "/usr/bin/passwd",
        "/etc/pam.d/passwd",
        "/srv/app/shadow",
        "/etc/ssl/certs/ca-certificates.pem",
        "/srv/tls/bundle.pem",
        "/srv/tls/ca.pem",
        "/etc/letsencrypt/live/x/fullchain.pem",
        "/srv/venv/lib/python3.11/site-packages/certifi/cacert.pem",
        "/srv/repo/.git/config",
        "/srv/app/config.json",
        "/proc/4242/status",
        "/srv/credentials",
        "/srv/app/src/token",
        "",
        "/",
    ],
)
def test_other_files_are_not(path: str) -> None:
    assert sensitivity(path) is None


def test_agents_own_files_are_told_apart() -> None:
    assert is_own("agent_credentials")
    assert not is_own("ssh_key")
    assert not is_own("environment_file")


def test_the_kernel_compares_whole_names() -> None:
    names, directories = kernel_names()
    assert {".env", "id_rsa", "passwd", "shadow", ".credentials.json", "environ"} <= set(names)
    assert {".ssh", ".aws", ".docker", ".password-store"} <= set(directories)
    for name in (*names, *directories):
        assert "*" not in name
        assert "/" not in name
        assert 0 < len(name.encode()) <= KERNEL_NAME_BYTES
    assert not {"config", "config.json", "token"} & set(names)
    assert not {"config", "cache", "etc", "src"} & set(directories)
    assert len(set(names)) == len(names) <= 256
    assert len(set(directories)) == len(directories) <= 64


def test_every_kind_has_a_reason_of_its_own() -> None:
    reasons = [kind.reason for kind in sensitive_files()._kinds]
    assert len(set(reasons)) == len(reasons)
    assert all(reason.replace("_", "").isalpha() for reason in reasons)
