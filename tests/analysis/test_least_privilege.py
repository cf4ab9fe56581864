from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.derived import FootprintRow
from analysis.least_privilege import Profile, collapsed, profile
from analysis.profile_formats import FORMATS


def row(kind: str, name: str, *, count: int = 1, sensitive: str | None = None) -> FootprintRow:
    return FootprintRow("s1", kind, name, count, 0, 1, 2, sensitive, None, None)


ROWS = [
    row("read", "/usr/lib/**"),
    row("read", "/etc/hosts"),
    row("read", "/home/dev/shop/README.md"),
    row("read", "/home/dev/shop/src/a.py"),
    row("read", "/home/dev/shop/src/b.py"),
    row("read", "/home/dev/shop/src/c.py"),
    row("read", "/home/dev/shop/.env", sensitive="environment_file"),
    row("read", "/etc/shadow", count=0, sensitive="system_passwords"),
    row("written", "/home/dev/shop/out.txt"),
    row("written", "/dev/null"),
    row("deleted", "/home/dev/shop/old.txt"),
    row("program", "/usr/bin/git"),
    row("program", "/bin/sh"),
    row("host", "api.example:443"),
    row("host", "[::1]:8080"),
    row("local_socket", "/run/nscd/socket"),
]


def test_the_profile_of_a_session() -> None:
    assert profile(ROWS) == Profile(
        read=(
            "/etc/hosts",
            "/home/dev/shop/.env",
            "/home/dev/shop/README.md",
            "/home/dev/shop/src/**",
            "/usr/**",
        ),
        write=("/dev/null", "/home/dev/shop/old.txt", "/home/dev/shop/out.txt"),
        programs=("/bin/sh", "/usr/bin/git"),
        hosts=("[::1]:8080", "api.example:443"),
        sockets=("/run/nscd/socket",),
        sensitive=(("/home/dev/shop/.env", "environment_file"),),
    )


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/srv/a/1", "/srv/a/2"], ("/srv/a/1", "/srv/a/2")),
        (["/srv/a/1", "/srv/a/2", "/srv/a/3"], ("/srv/a/**",)),
        (["/srv/1", "/srv/2", "/srv/3"], ("/srv/1", "/srv/2", "/srv/3")),
        (["/etc/1", "/etc/2", "/etc/3"], ("/etc/1", "/etc/2", "/etc/3")),
        (["/home/u/1", "/home/u/2", "/home/u/3"], ("/home/u/1", "/home/u/2", "/home/u/3")),
        (["/srv/a/**", "/srv/a/1"], ("/srv/a/**",)),
        (["/srv/a/**", "/srv/a/b/c/d"], ("/srv/a/**",)),
        (["/srv/a/b/1", "/srv/a/c", "/srv/a/d", "/srv/a/e"], ("/srv/a/**",)),
        (["/", "/a"], ("/", "/a")),
        ([], ()),
    ],
)
def test_directories_stand_for_their_files(paths: list[str], expected: tuple[str, ...]) -> None:
    assert collapsed(paths) == expected


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(lambda p: "/" + "/".join(p))


@given(st.lists(names), st.lists(names))
def test_every_path_that_was_used_is_covered(paths: list[str], alone: list[str]) -> None:
    found = collapsed(paths, alone)
    for path in paths:
        assert any(
            path == one or (one.endswith("/**") and f"{path}/".startswith(one[:-2]))
            for one in found
        )
    assert collapsed(found, alone) == found
    assert set(paths) & set(alone) <= set(found)


def written(name: str) -> str:
    return FORMATS[name](profile(ROWS))


def test_as_a_policy() -> None:
    document = json.loads(written("json"))
    assert (document["version"], document["mode"]) == (1, "audit")
    rules = {rule["on"]: rule["allow"] for rule in document["rules"]}
    assert rules["proc.exec"] == {"paths": ["/bin/sh", "/usr/bin/git"]}
    assert rules["net.connect"] == {"hosts": ["[::1]:8080", "api.example:443"]}
    assert "/home/dev/shop/src/**" in rules["file.read"]["paths"]


def test_as_settings_of_claude_code() -> None:
    rules = json.loads(written("claude"))["permissions"]
    assert "Read(//home/dev/shop/src/**)" in rules["allow"]
    assert "Edit(//home/dev/shop/out.txt)" in rules["allow"]
    assert "Bash(git:*)" in rules["allow"]
    assert "WebFetch(domain:api.example)" in rules["allow"]
    assert not [
        one for one in rules["allow"] if one.partition("(/")[2].startswith(("/usr", "/dev"))
    ]
    assert "Bash(sh:*)" not in rules["allow"]
    assert "Read(~/.ssh/**)" in rules["deny"]
    assert "Read(//etc/shadow)" in rules["deny"]
    assert "Read(**/.env)" not in rules["deny"]


def test_as_settings_of_sandbox_runtime() -> None:
    settings = json.loads(written("srt"))
    assert settings["network"]["allowedDomains"] == ["::1", "api.example"]
    assert settings["filesystem"]["allowWrite"] == list(profile(ROWS).write)
    assert "~/.ssh" in settings["filesystem"]["denyRead"]


def test_as_a_bubblewrap_command() -> None:
    words = shlex.split(written("bwrap"))
    assert words[0] == "bwrap"
    assert words[-1] == "--"
    bound = [words[at + 1] for at, word in enumerate(words) if word == "--ro-bind-try"]
    assert "/usr" in bound
    assert "/home/dev/shop/.env" in bound
    assert words[words.index("--bind-try") + 1] == "/home/dev/shop"
    assert "--unshare-net" not in words
    offline = profile([one for one in ROWS if one.kind != "host"])
    assert "--unshare-net" in FORMATS["bwrap"](offline)


@pytest.mark.parametrize("name", FORMATS)
def test_of_a_session_that_did_nothing(name: str) -> None:
    assert FORMATS[name](profile([]))
