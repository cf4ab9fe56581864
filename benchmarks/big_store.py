"""How fast commands answer when a store holds a million calls.

    python -m benchmarks.big_store [--calls 1000000] [--store FILE] [--commands report,loops...]

Makes a store of synthetic sessions of 100 calls (each call asks for a tool, whose program touches
a file; one session in fifty repeats itself, one in a hundred is denied something), analyses it as
a capture would, and runs every reading command in a process of its own: wall time, the processors'
time and peak memory, of the fastest of three. An existing FILE is used as it is.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis.analyst import analyse
from collector.store import Store

CALLS_OF_A_SESSION = 100
ROUNDS = 3
_START_NS = 1_790_000_000_000_000_000
_MAKE = (
    """
    CREATE TEMP TABLE step AS
    SELECT
        i // {per} AS s, i % {per} AS n,
        's' || lpad((i // {per})::TEXT, 8, '0') AS session_id,
        'c' || lpad(i::TEXT, 10, '0') AS call_id,
        {start} + (i // {per}) * 60_000_000_000 + (i % {per}) * 5_000_000_000 AS at_ns
    FROM range({calls}) AS r(i)
    """,
    """
    INSERT INTO capture BY NAME SELECT
        'k1' AS capture_id, {start} AS started_ns, {start} + 1 AS ended_ns, 'made' AS command,
        '0' AS version, 'boot' AS boot_id, '6' AS kernel
    """,
    """
    INSERT INTO session BY NAME SELECT
        session_id, 'read' AS confidence, ['claude-code', 'codex', 'opencode'][s % 3 + 1] AS agent,
        '1.' || (s % 7) AS agent_version, 1000 + s AS root_pid, at_ns AS started_ns
    FROM step WHERE n = 0
    """,
    """
    INSERT INTO llm_call BY NAME SELECT
        call_id, session_id, ['claude-code', 'codex', 'opencode'][s % 3 + 1] AS agent,
        1000 + s AS pid, 'agent' AS comm, ['anthropic', 'openai'][s % 2 + 1] AS provider,
        'anthropic.messages' AS api, ['claude-sonnet-4-6', 'gpt-4o-mini'][s % 2 + 1] AS model,
        at_ns AS started_ns, at_ns + 300_000_000 AS first_byte_ns,
        at_ns + 400_000_000 AS first_token_ns,
        at_ns + 2_000_000_000 + hash(call_id) % 1_000_000_000 AS ended_ns,
        CASE WHEN hash(call_id) % 200 = 0 THEN 'error' ELSE 'ok' END AS status,
        CASE WHEN hash(call_id) % 200 = 0 THEN 'overloaded_error' END AS error_type,
        CASE WHEN n = {per} - 1 THEN 'end_turn' ELSE 'tool_use' END AS finish_reason,
        true AS stream, true AS complete, 2000 + n * 300 AS input_tokens,
        100 + hash(call_id) % 400 AS output_tokens, 1500 + n * 280 AS cache_read_tokens,
        0.001 + n * 0.0001 AS cost_usd, 'made' AS cost_source,
        (n < {per} - 1)::INT AS tool_call_count, 4000 + n * 900 AS request_bytes,
        3000 AS response_bytes, 0 AS lost_bytes,
        md5(session_id || (2 * n)) AS input_node, md5(session_id || (2 * n + 1)) AS output_node,
        'set1' AS tool_set, 'k1' AS capture_id, 'chat' AS operation, 'http/1.1' AS protocol,
        'reported' AS usage_source
    FROM step
    """,
    """
    INSERT INTO message_node BY NAME
    SELECT
        md5(session_id || p) AS node,
        CASE WHEN p > 0 THEN md5(session_id || (p - 1)) END AS parent_node,
        p AS position, md5(session_id || p) AS content_hash, at_ns
    FROM (SELECT session_id, at_ns, 2 * n + odd AS p FROM step, range(2) AS o(odd))
    ORDER BY at_ns
    """,
    """
    INSERT INTO content BY NAME
    SELECT
        md5(session_id || p) AS content_hash, 'message' AS kind,
        CASE WHEN p % 2 = 0 THEN 'user' ELSE 'assistant' END AS role,
        300 + hash(session_id || p) % 3000 AS size_bytes,
        CASE
            WHEN p = 0 THEN '{{"role":"user","content":"Please repair ' || session_id || '"}}'
            WHEN p % 2 = 0 THEN '{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t'
                || session_id || (p // 2 - 1) || '","content":"' || md5(session_id || p) || '"}}]}}'
            ELSE '{{"role":"assistant","content":[{{"type":"text","text":"Next '
                || md5(session_id || p) || '"}},{{"type":"tool_use","id":"t' || session_id
                || (p // 2) || '","name":"Bash","input":{{"command":"make test' || p || '"}}}}]}}'
        END AS body
    FROM (SELECT session_id, 2 * n + odd AS p FROM step, range(2) AS o(odd))
    """,
    """
    INSERT INTO tool_call BY NAME SELECT
        't' || session_id || n AS tool_call_id, session_id, call_id, 'Bash' AS name,
        '{{"command":"make test' || CASE WHEN loops THEN '' ELSE n::TEXT END || '"}}' AS arguments,
        md5(CASE WHEN loops THEN session_id ELSE session_id || n END) AS arguments_hash,
        CASE
            WHEN s % 100 = 7 AND n = 50
                THEN 'The user doesn''t want to proceed with this tool use.'
            ELSE 'done ' || md5(session_id || n)
        END AS result_preview,
        md5('r' || CASE WHEN loops THEN session_id ELSE session_id || n END) AS result_hash,
        false AS is_error, at_ns + 2_000_000_000 + hash(call_id) % 1_000_000_000 AS requested_ns,
        at_ns + 5_000_000_000 AS result_ns,
        'c' || lpad((s * {per} + n + 1)::TEXT, 10, '0') AS result_call_id
    FROM (SELECT *, s % 50 = 3 AND n BETWEEN 20 AND 24 AS loops FROM step WHERE n < {per} - 1)
    """,
    """
    INSERT INTO process BY NAME SELECT
        'boot:' || (1000 + s) || ':0' AS process_key, 1000 + s AS pid, 1 AS ppid,
        at_ns AS started_ns, '/usr/bin/agent' AS exe, ['agent'] AS argv, '/work' AS cwd,
        1000 AS uid, session_id, false AS argv_truncated, 'agent' AS comm
    FROM step WHERE n = 0
    UNION ALL BY NAME
    SELECT
        'boot:' || call_id AS process_key, 100_000 + (s * {per} + n) AS pid, 1000 + s AS ppid,
        at_ns + 3_200_000_000 AS started_ns, at_ns + 4_900_000_000 AS ended_ns, '/bin/sh' AS exe,
        ['/bin/sh', '-c', 'make test' || n] AS argv, '/work' AS cwd, 1000 AS uid, 0 AS exit_code,
        session_id, false AS argv_truncated, 'sh' AS comm
    FROM step WHERE n < {per} - 1
    """,
    """
    INSERT INTO file_event BY NAME SELECT
        'e' || call_id AS file_event_id, 'k1' AS capture_id, 'boot:' || call_id AS process_key,
        100_000 + (s * {per} + n) AS pid, at_ns + 3_300_000_000 AS first_ns,
        at_ns + 3_300_000_000 AS last_ns, 1 AS count, 'open' AS operation,
        CASE WHEN n % 5 = 0 THEN 'write' ELSE 'read' END AS access,
        '/work/' || session_id || '/file' || (n % 20) AS path, n % 5 = 0 AS creates,
        false AS exclusive, n % 5 = 0 AS truncates, false AS appends, false AS truncated
    FROM step WHERE n < {per} - 1
    """,
    """
    INSERT INTO network_event BY NAME SELECT
        'n' || call_id AS network_event_id, 'k1' AS capture_id, 'boot:' || call_id AS process_key,
        100_000 + (s * {per} + n) AS pid, at_ns + 3_400_000_000 AS first_ns,
        at_ns + 3_400_000_000 AS last_ns, 1 AS count, 'tcp' AS transport, '127.0.0.1' AS address,
        443 AS port, 'packages.example' AS name, 'tls' AS name_source
    FROM step WHERE n % 10 = 1 AND n < {per} - 1
    """,
    "INSERT INTO stale_session SELECT session_id FROM session",
)
_SESSION = "s00000003"
COMMANDS: dict[str, tuple[str, ...]] = {
    "report": ("report",),
    "report --json": ("report", "--json"),
    "sessions": ("sessions",),
    "calls": ("calls",),
    "tools": ("tools",),
    "processes": ("processes",),
    "files": ("files",),
    "connections": ("connections",),
    "rpc": ("rpc",),
    "requests": ("requests",),
    "agents": ("agents",),
    "findings": ("findings",),
    "loops": ("loops",),
    "escalations": ("escalations",),
    "conflicts": ("conflicts",),
    "context": ("context",),
    "coverage": ("coverage",),
    "health": ("health",),
    "spend": ("spend",),
    "spend --by day": ("spend", "--by", "day"),
    "compare": ("compare", "agent=codex", "agent=opencode"),
    "calls of a session": ("calls", "--session", _SESSION),
    "tools of a session": ("tools", "--session", _SESSION),
    "processes of a session": ("processes", "--session", _SESSION),
    "files of a session": ("files", "--session", _SESSION),
    "connections of a session": ("connections", "--session", _SESSION),
    "context of a session": ("context", _SESSION),
    "footprint": ("footprint", _SESSION),
    "timeline": ("timeline", _SESSION),
    "show": ("show", "c0000000399"),
    # Filters of which many rows, few and none are like that, and orders.
    "calls model:sonnet": ("calls", "--where", "model:sonnet"),
    "calls !status:ok cost:>0.005": ("calls", "--where", "!status:ok cost:>0.005"),
    "calls nothing": ("calls", "--where", "nothing"),
    "tools nothing": ("tools", "--where", "nothing"),
    "files nothing": ("files", "--where", "nothing"),
    "sessions nothing": ("sessions", "--where", "nothing"),
    "calls --sort cost": ("calls", "--sort", "cost"),
    "files --sort times": ("files", "--sort", "times"),
    "spend model:sonnet": ("spend", "--where", "model:sonnet"),
    "spend --by session cost:>0.01": ("spend", "--by", "session", "--where", "cost:>0.01"),
}


def make(path: Path, calls: int) -> None:
    """A store of so many calls, not analysed yet."""
    Store.open(path).close()
    with Store.open(path) as store:
        names = {"calls": calls, "per": CALLS_OF_A_SESSION, "start": _START_NS}

        def fill(connection: object) -> None:
            for statement in _MAKE:
                connection.execute(statement.format(**names))  # type: ignore[attr-defined]

        store.transact(fill)


def measure(store: Path, arguments: tuple[str, ...]) -> tuple[float, float, float, int]:
    """Least seconds, least seconds of processors, peak MB, exit code of a command."""
    command = [sys.executable, "-m", "underglass", *arguments, "--db", str(store)]
    times, worked, peak_mb, code = [], [], 0.0, 0
    for _ in range(ROUNDS):
        began = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert child.stderr is not None
        complaint = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        times.append(time.monotonic() - began)
        worked.append(usage.ru_utime + usage.ru_stime)
        peak_mb = max(peak_mb, usage.ru_maxrss / 1024)
        code = os.waitstatus_to_exitcode(status)
        if code:
            print(complaint.decode(errors="replace"), file=sys.stderr)
            break
    return min(times), min(worked), peak_mb, code


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.big_store", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--commands", help="names, with commas; all when not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="underglass-big-") as folder:
        path: Path = options.store or Path(folder) / "big.db"
        if not path.exists():
            began = time.monotonic()
            make(path, options.calls)
            print(f"{options.calls:,} calls made in {time.monotonic() - began:.0f} s")
            began = time.monotonic()
            with Store.open(path) as store:
                families = analyse(store)
            took = time.monotonic() - began
            rate = options.calls / took
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{families:,} sessions analysed in {took:.0f} s: {rate:,.0f} calls a second,"
                f" peak {memory:,.0f} MB"
            )
        print(f"{path.stat().st_size / 1e6:,.0f} MB")
        chosen = options.commands.split(",") if options.commands else list(COMMANDS)
        for name in chosen:
            seconds, worked, peak_mb, code = measure(path, COMMANDS[name])
            failed = f"  exit code {code}" if code else ""
            spent = f"{seconds * 1000:>7.0f} ms {worked * 1000:>7.0f} ms of processors"
            print(f"{name:<30}{spent} {peak_mb:>7.0f} MB{failed}")


if __name__ == "__main__":
    main()
