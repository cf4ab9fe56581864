"""An agent whose tool calls take privileges, with real probes: each chain is one finding that names
the process; a twin that only gives privileges up has none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from analysis.escalations import session_escalations
from analysis.outcomes import outcome
from analysis.reading import open_reader
from analysis.session_rows import session_steps
from analysis.steps import Finding, SessionSteps
from tests.e2e.asked import PYTHON
from tests.e2e.conftest import Watched, python
from underglass.demo.standin import StandIn

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes nobody, which only root can"),
]

NOBODY = 65534
AS_NOBODY = f"import os; os.setresuid({NOBODY}, {NOBODY}, {NOBODY});"


@pytest.fixture
def set_uid() -> Iterator[Path]:
    """A set-uid root program of no known name, where every user may run it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        program = Path(name) / "report-maker"
        shutil.copy("/bin/true", program)
        program.chmod(0o4755)
        yield program


Agent = Callable[..., tuple[SessionSteps, list[Finding]]]


@pytest.fixture
def agent(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path
) -> Agent:
    """Have the agent run these commands, one a turn; its session and the privileges it took."""

    def run(commands: Sequence[str]) -> tuple[SessionSteps, list[Finding]]:
        turns = [f"[[turn]]\n[[turn.tool]]\nshell = '''{command}'''\n" for command in commands]
        script = tmp_path / "privileges.toml"
        script.write_text("first_token_ms = 0\n" + "".join(turns) + '[[turn]]\ntext = "Done."\n')
        server = standin(script)
        result = watched(server, python("trusting_agent.py", "Make the report."))
        assert result.exit_code == 0, result.stderr
        with open_reader(result.store) as reader:
            (row,) = reader.rows("SELECT session_id FROM sessions").rows
            steps = session_steps(reader, row[0])
        return steps, session_escalations(steps)

    return run


def programs(steps: SessionSteps, finding: Finding) -> list[str]:
    """First arguments of the processes that are evidence."""
    argv = {process.process_key: process.argv for process in steps.processes}
    return [argv[each.id][0] for each in finding.evidence if each.kind == "process"]


def test_a_set_uid_program_of_no_known_name(agent: Agent, set_uid: Path) -> None:
    steps, found = agent([f"{PYTHON} -c \"{AS_NOBODY} os.execv('{set_uid}', ['{set_uid}'])\""])
    (finding,) = found
    assert (finding.kind, finding.severity) == ("privilege_escalation", "critical")
    assert finding.session_id == steps.session.session_id
    assert programs(steps, finding) == [str(set_uid)]
    (change,) = (each for each in finding.evidence if each.kind == "privilege")
    assert change.pid == finding.evidence[0].pid
    assert f"uid {NOBODY}, effective uid 0" in change.note
    assert "report-maker" in finding.title


def test_namespaces_and_tries_that_fail(agent: Agent) -> None:
    steps, found = agent(
        [
            "unshare --uts true",
            f"{PYTHON} -c '{AS_NOBODY} os.setuid(0)' || true",
        ]
    )
    entered, tried = found
    assert programs(steps, entered) == ["unshare"]  # its name and its call are one finding
    assert [each.kind for each in entered.evidence] == ["process", "privilege"]
    assert entered.severity == "info"  # the agent is root here
    assert programs(steps, tried) == [PYTHON]
    assert "EPERM" in tried.title
    assert tried.severity == "info"
    ended = outcome(steps, found)
    assert ended.outcome == "completed"
    assert ended.human_escalations == 0


def test_giving_privileges_up_is_none(agent: Agent) -> None:
    command = f"{PYTHON} -c '{AS_NOBODY} os.getuid()' && sleep 0 & wait; true"
    steps, found = agent([command])
    assert [step.change for step in steps.privileges] == ["setuid"]
    assert found == []
