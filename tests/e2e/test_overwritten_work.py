"""Agents that undo each other's work, with real files and a real git."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.actors import actors_of
from analysis.conflicts import conflicts
from analysis.steps import Finding
from tests.e2e.case_steps import steps_of
from tests.e2e.conftest import PROGRAMS, Watched
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Run = Callable[[list[list[str]]], list[tuple[Finding, str]]]
BEGIN = [["anna", "ask"], ["bert", "ask"]]
END = [["anna", "ask"], ["bert", "ask"]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with three files."""
    path = tmp_path / "repository"
    path.mkdir()
    for name in ("app.py", "plan.md", "notes.md"):
        (path / name).write_text("as it was\n")
    hook = path / ".git" / "hooks" / "pre-commit"
    for command in (
        ["init", "-q"],
        ["config", "user.email", "a@example.org"],
        ["config", "user.name", "a"],
        ["add", "."],
        ["commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *command], cwd=path, check=True)
    hook.write_text("#!/bin/sh\n: > committing\nwhile [ ! -e go ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    return path


@pytest.fixture
def run(standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path) -> Run:
    """Do the steps under real probes; the findings, each with the name of who suffered."""

    def done(steps: list[list[str]]) -> list[tuple[Finding, str]]:
        script = tmp_path / "steps.json"
        script.write_text(json.dumps([*BEGIN, *steps, *END]))
        result = watched(standin("echo"), [sys.executable, PROGRAMS / "told_agents.py", script])
        assert result.exit_code == 0, result.stderr
        sessions, processes, files = steps_of(result)
        assert len(sessions) == 2
        names = {process.pid: process.argv[-1] for process in processes}
        found = conflicts(actors_of(sessions, processes), files, (), processes)
        of = {one.session_id: names[one.root_pid or 0] for one in sessions}
        return [(finding, of[finding.session_id or ""]) for finding in found]

    return done


def test_writing_over_unread_work(run: Run, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.md")
    (one,) = run([
        ["anna", "write", plan],
        ["anna", "run", "sleep", "2.1"],
        ["bert", "write", plan],
    ])  # fmt: skip
    finding, sufferer = one
    assert (finding.kind, sufferer, finding.count) == ("overwritten_work", "anna", 1)
    assert "/plan.md" in finding.title
    assert plan in finding.evidence[0].note


def test_in_turn(run: Run, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.md")
    (one,) = run([[name, "write", plan] for name in ("anna", "bert", "anna", "bert")])
    assert (one[0].kind, one[0].count) == ("write_conflict", 3)


def test_knowing_edits_and_own_files_are_none(run: Run, tmp_path: Path) -> None:
    plan, own = str(tmp_path / "plan.md"), str(tmp_path / "own.md")
    found = run([
        ["anna", "write", plan],
        ["bert", "run", "cat", plan],
        ["bert", "write", plan],
        ["anna", "read", plan],
        ["anna", "run", "sed", "-i", "s/wrote/said/", plan],
        ["anna", "write", own],
        ["anna", "delete", own],
        ["bert", "write", own],
    ])  # fmt: skip
    assert found == []


def test_git_checkout_throws_work_away(run: Run, repository: Path) -> None:
    names = ("app.py", "plan.md", "notes.md")
    (one,) = run([
        *(["anna", "write", str(repository / name)] for name in names),
        ["bert", "run", "git", "-C", str(repository), "status", "--short"],
        ["bert", "run", "git", "-C", str(repository), "checkout", "--", "."],
    ])  # fmt: skip
    finding, sufferer = one
    assert (finding.kind, sufferer, finding.count) == ("overwritten_work", "anna", 3)
    assert "checkout -- .`" in finding.title
    assert "replaced" in finding.title


def test_the_index_of_git_is_locked(run: Run, repository: Path) -> None:
    git = ["git", "-C", str(repository)]
    (one,) = run([
        ["anna", "write", str(repository / "app.py")],
        ["anna", "start", *git, "commit", "-q", "-a", "-m", "second"],
        ["bert", "await", str(repository / "committing")],
        ["bert", "run", *git, "add", "plan.md"],
        ["anna", "write", str(repository / "go")],
    ])  # fmt: skip
    finding, sufferer = one
    assert (finding.kind, sufferer, finding.count) == ("lock_wait", "bert", 1)
    assert ".git/index.lock" in finding.title
    assert "without success" in finding.title
