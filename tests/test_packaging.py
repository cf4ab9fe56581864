"""The built wheel: one name in site-packages, with the files that are not Python."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from underglass.cli import COMMANDS


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = Path(out).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_site_packages_gets_one_name(names: set[str]) -> None:
    top = {name.split("/")[0] for name in names}
    metadata = (".dist-info", ".data")
    assert {name for name in top if not name.endswith(metadata)} == {"underglass"}


def test_manual_pages_are_in_it(names: set[str]) -> None:
    pages = {name for name in names if "/share/man/man1/" in name}
    assert any(name.endswith("/underglass-follow.1") for name in pages)
    assert len(pages) > len(COMMANDS)


def test_every_source_and_data_file_is_in_it(names: set[str]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "probes", "collector", "analysis", "tui", "underglass"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    for path in tracked:
        inside = path if path.startswith("underglass/") else f"underglass/_app/{path}"
        assert inside in names, path


def test_nothing_else_is_in_it(names: set[str]) -> None:
    assert not [name for name in names if "tests/" in name or name.endswith((".pyc", ".db"))]


def test_the_installed_wheel_runs(tmp_path: Path) -> None:
    """From the wheel alone, outside the source tree, without its dependencies' own copies."""
    out = tmp_path / "dist"
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-S", "-c",
         "import sys; sys.path[:0] = sys.argv[1:]; import underglass, probes.frames;"
         "print(probes.frames.__file__)", str(tmp_path / "site")],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(tmp_path / "site" / "underglass" / "_app"))
