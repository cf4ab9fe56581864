"""Every column of every table, declared once for the dashboard and the command line.

In: rows of the store's views and of `analysis.findings`, by field name. Out: the `Table`s, by name
in `TABLES`.
"""

from __future__ import annotations

from analysis import cells
from analysis.table_layout import Column, Table
from analysis.table_layout import number as _number

_WHEN = Column("started_at", "time", 8, "When it began, local time.", cells.clock)

SESSIONS = Table(
    "sessions",
    "Sessions",
    ("session_id",),
    (
        Column("session_id", "session", 10, "Identifies the session.", max_width=38),
        Column("agent", "agent", 12, "The program that called the model.", max_width=24),
        Column("started_at", "started", 14, "When it began.", cells.day_and_clock, priority=3),
        _number("calls", "calls", 5, "LLM calls, also failed ones."),
        _number("running_calls", "run", 4, "Calls without an end yet.", cells.busy_count, 2),
        _number("errors", "err", 4, "Calls that failed.", cells.bad_count),
        _number("tool_calls", "tools", 5, "Tool calls that the model made.", priority=2),
        _number(
            "input_tokens", "in", 5, "Input tokens, cached ones included; ~ some estimated.",
            cells.partly_estimated, fields=("input_tokens", "estimated_calls"),
        ),
        _number(
            "output_tokens", "out", 5, "Output tokens; ~ some estimated.",
            cells.partly_estimated, fields=("output_tokens", "estimated_calls"),
        ),
        _number(
            "cost_usd", "cost", 9, "Sum of known prices; + when some calls have none.",
            cells.total_cost, fields=("cost_usd", "unpriced_calls", "estimated_calls"),
        ),
        _number("root_pid", "pid", 7, "The agent's process.", cells.plain, priority=4),
        Column("agent_version", "version", 9, "The agent's version.", priority=6),
        Column(
            "confidence", "origin", 8, "read: the id was on the wire; inferred: from messages.",
            cells.word, priority=5,
        ),
        Column("ended_at", "ended", 14, "End of its last call.", cells.day_and_clock, priority=6),
        Column("parent_session_id", "parent", 10, "The session that started it.", priority=7),
    ),
    newest="started_at",
)  # fmt: skip

CALLS = Table(
    "calls",
    "Calls",
    ("call_id",),
    (
        _WHEN,
        Column(
            "model", "model", 17, "The model that answered, else the one asked for.",
            lambda model, asked: cells.plain(model or asked), max_width=28,
            fields=("model", "request_model"),
        ),
        Column("status", "status", 10, "running, ok, error or incomplete.", cells.word),
        _number(
            "input_tokens", "in", 5, "Input tokens, cached ones included; ~ estimated.",
            cells.input_tokens, fields=("input_tokens", "usage_source"),
        ),
        _number(
            "output_tokens", "out", 5, "Output tokens; ~ estimated.",
            cells.output_tokens, fields=("output_tokens", "usage_source"),
        ),
        _number(
            "cache_read_tokens", "cache", 5, "Share of the input read from the cache.",
            cells.share, 2, ("cache_read_tokens", "input_tokens"),
        ),
        _number("ttft_ms", "ttft", 6, "Time to the first token of a stream.", cells.duration, 2),
        _number("duration_ms", "total", 6, "From request to end.", cells.duration),
        _number(
            "cost_usd", "cost", 8, "US dollars; unpriced: no price is known.",
            cells.call_cost, fields=("cost_usd", "cost_source"),
        ),
        _number("tool_call_count", "tools", 5, "Tool calls in the answer.", priority=3),
        Column("finish_reason", "finish", 10, "Why the model stopped.", priority=5),
        Column("error_type", "error", 16, "The provider's word for it.", priority=4),
        Column("agent", "agent", 12, "The program that called.", priority=5, max_width=20),
        _number("pid", "pid", 7, "The process that called.", cells.plain, priority=6),
        Column("session_id", "session", 10, "The session it belongs to.", priority=6),
        Column("host", "host", 18, "Where the request went.", priority=7, max_width=32),
        _number("lost_bytes", "lost", 7, "Bytes of it not captured.", cells.bad_count, 4),
        _number("cache_write_tokens", "c.write", 7, "Written to the cache.", cells.tokens, 8),
        _number("reasoning_tokens", "reason", 6, "Reasoning tokens.", cells.tokens, 8),
        Column("provider", "provider", 9, "Whose interface it is.", priority=8),
        Column("call_id", "call", 10, "Identifies the call.", priority=9),
    ),
    newest="started_at",
)  # fmt: skip

TOOLS = Table(
    "tools",
    "Tools",
    ("call_id", "tool_call_id"),
    (
        Column("requested_at", "time", 8, "When the model asked, local time.", cells.clock),
        Column("name", "tool", 10, "The tool's name.", max_width=20),
        Column("is_error", "result", 6, "ok or error, when the result says.", cells.outcome),
        _number("duration_ms", "took", 6, "From request to result.", cells.duration),
        Column("arguments", "arguments", 20, "What the model asked for.", max_width=90),
        Column("result_preview", "answer", 20, "How the result begins.", priority=2, max_width=90),
        Column("session_id", "session", 10, "The session it belongs to.", priority=4),
        Column("tool_call_id", "id", 12, "Identifies the tool call.", priority=6),
    ),
    newest="requested_at",
)

FINDINGS = Table(
    "findings",
    "Findings",
    ("kind", "session_id", "first_at"),
    (
        Column("last_at", "last", 8, "When it was last seen, local time.", cells.clock),
        Column("severity", "severity", 8, "info, warning or critical.", cells.word),
        Column("kind", "kind", 16, "Which loop or escalation it is.", priority=3, max_width=20),
        _number("count", "times", 5, "Repeats or occurrences."),
        Column("title", "what happened", 44, "The finding in a sentence.", max_width=90),
        _number(
            "wasted_tokens", "wasted", 6, "Tokens after the first round.", cells.tokens, 2
        ),
        Column("session_id", "session", 10, "The session it belongs to.", priority=4),
        Column("first_at", "first", 8, "When it began.", cells.clock, priority=5),
    ),
    newest="last_at",
)  # fmt: skip

PROCESSES = Table(
    "processes",
    "Processes",
    ("process_key",),
    (
        Column("started_at", "time", 8, "When it began, local time.", cells.clock),
        _number("pid", "pid", 7, "Process id.", cells.plain),
        _number("ppid", "parent", 7, "Process id of its parent.", cells.plain, 2),
        _number(
            "exit_code", "exit", 6, "Exit code or signal.", cells.exit_status,
            fields=("exit_code", "signal"),
        ),
        Column(
            "argv",
            "command",
            24,
            "The program and its arguments; in brackets one that only forked.",
            lambda argv, comm: cells.plain(argv or (comm and f"[{comm}]")),
            max_width=110,
            fields=("argv", "comm"),
        ),
        Column("exe", "program", 16, "The file that ran.", priority=4, max_width=40),
        Column("cwd", "directory", 16, "Where it ran.", priority=3, max_width=40),
        _number("uid", "uid", 5, "The user it ran as.", cells.plain, 3),
        Column("session_id", "session", 10, "The session it works for.", priority=5),
        Column("ended_at", "ended", 8, "When it ended.", cells.clock, priority=5),
        Column("process_key", "key", 12, "Identifies it on this machine.", priority=9),
    ),
    newest="started_at",
)  # fmt: skip

FILES = Table(
    "files",
    "Files",
    ("file_event_id",),
    (
        Column("last_at", "time", 8, "When it was last done, local time.", cells.clock),
        Column("comm", "process", 14, "The process that did it.", cells.process,
            max_width=24, fields=("comm", "pid"),
        ),
        Column(
            "operation", "what", 10, "What was done; of an open what for.",
            lambda operation, access: cells.plain(access or operation),
            fields=("operation", "access"),
        ),
        Column(
            "path", "path", 30, "The file; of a rename or link also the new name.",
            lambda path, new_path: cells.plain(f"{path} -> {new_path}" if new_path else path),
            max_width=110, fields=("path", "new_path"),
        ),
        Column("error", "error", 8, "Why it failed.", cells.failure, max_width=16),
        _number("count", "times", 5, "How often in a row."),
        Column("sensitive", "sensitive", 9, "Why the path is sensitive.", priority=2, max_width=20),
        Column("creates", "creates", 7, "Whether an open was to create the file.", priority=5),
        Column("session_id", "session", 10, "The session it belongs to.", priority=4),
        Column("first_at", "first", 8, "When it was first done.", cells.clock, priority=6),
        Column("file_event_id", "id", 16, "Identifies the row.", priority=9),
    ),
    newest="last_at",
)  # fmt: skip

CONNECTIONS = Table(
    "connections",
    "Connections",
    ("network_event_id",),
    (
        Column("last_at", "time", 8, "When it last connected, local time.", cells.clock),
        Column("comm", "process", 14, "The process that connected.", cells.process,
            max_width=24, fields=("comm", "pid"),
        ),
        Column("name", "host", 20, "The host's name, where it is known.", max_width=44),
        Column("address", "address", 15, "Where it connected to.", max_width=44),
        _number("port", "port", 5, "The port.", cells.plain),
        Column("transport", "over", 4, "tcp, udp or unix."),
        Column("error", "error", 8, "Why it failed.", cells.failure, max_width=16),
        _number("count", "times", 5, "How often in a row."),
        Column("name_source", "by", 4, "Where the name was read: dns, tls or http.", priority=3),
        Column("session_id", "session", 10, "The session it belongs to.", priority=4),
        Column("first_at", "first", 8, "When it first connected.", cells.clock, priority=6),
        Column("network_event_id", "id", 16, "Identifies the row.", priority=9),
    ),
    newest="last_at",
)  # fmt: skip

RPC = Table(
    "rpc",
    "RPC",
    ("message_id",),
    (
        Column("started_at", "time", 8, "First byte, local time.", cells.clock),
        Column(
            "writer_pid", "from", 14, "The process that sent it.", cells.process,
            max_width=24, fields=("writer_comm", "writer_pid"),
        ),
        Column(
            "reader_pid", "to", 14, "The process that received it.", cells.process,
            max_width=24, fields=("reader_comm", "reader_pid"),
        ),
        Column(
            "direction", "direction", 9, "To the server or to the client, when that is known.",
            priority=3,
        ),
        Column("kind", "kind", 12, "request, notification, response, error or unknown."),
        Column(
            "method", "method", 20, "What is called, with the tool; of a response its request's.",
            lambda method, tool: cells.plain(method and f"{method} {tool or ''}"),
            max_width=48, fields=("method", "tool"),
        ),
        Column("status", "status", 6, "Of a request: open without an answer.", cells.word),
        _number("duration_ms", "took", 6, "From request to answer.", cells.duration),
        _number("size_bytes", "bytes", 9, "Size on the wire.", priority=2),
        Column("rpc_id", "id", 6, "The id that pairs request and response.", priority=4),
        Column("transport", "over", 4, "pipe, unix, http or sse.", priority=6),
        Column("body", "message", 20, "The message.", priority=5, max_width=90),
        Column("message_id", "message id", 17, "Identifies the message.", priority=9),
    ),
    newest="started_at",
    has_session=False,
)  # fmt: skip

RPC_CALLS = Table(
    "rpc_calls",
    "RPC calls",
    ("message_id",),
    (
        Column("started_at", "time", 8, "First byte of the request, local time.", cells.clock),
        Column(
            "client_pid", "client", 14, "The process that is the client.", cells.process,
            max_width=24, fields=("client_comm", "client_pid"),
        ),
        Column(
            "server_name", "server", 12, "The server as it names itself, else where it is.",
            lambda name, url, pid: cells.plain(name or url or pid),
            max_width=32, fields=("server_name", "url", "server_pid"),
        ),
        Column(
            "method", "method", 20, "What is called, with the tool.",
            lambda method, tool: cells.plain(method and f"{method} {tool or ''}"),
            max_width=48, fields=("method", "tool"),
        ),
        Column(
            "status", "status", 10, "ok, error, cancelled, redirected; open without an answer.",
            cells.word,
        ),
        _number("duration_ms", "took", 6, "From request to its last answer.", cells.duration),
        Column("error_message", "error", 16, "What the error says.", priority=2, max_width=60),
        _number("error_code", "code", 6, "The error's code.", cells.plain, 3),
        Column("protocol", "protocol", 8, "mcp, a2a or lsp.", priority=3),
        Column("transport", "over", 4, "pipe, unix, http or sse.", priority=4),
        Column("task_state", "task", 10, "State of A2A's or MCP's task.", priority=4, max_width=24),
        _number("request_bytes", "sent", 7, "Size of the request.", priority=5),
        _number("answer_bytes", "received", 8, "Size of its answers.", priority=5),
        Column("url", "url", 18, "Where the server is.", priority=6, max_width=48),
        Column("answer_body", "answer", 20, "The last answer.", priority=6, max_width=60),
        Column("session_id", "session", 10, "The session of the client.", priority=7),
        Column("message_id", "message id", 17, "Identifies the request.", priority=9),
    ),
    newest="started_at",
)  # fmt: skip

REQUESTS = Table(
    "requests",
    "Requests",
    ("request_id",),
    (
        _WHEN,
        Column("kind", "kind", 14, "What was asked: count_tokens, list_models, batch_create..."),
        Column("provider", "provider", 12, "Who answers.", max_width=18),
        Column("model", "model", 17, "The model that was asked about.", priority=2, max_width=28),
        Column("status", "status", 10, "ok, error or incomplete.", cells.word),
        _number("counted_tokens", "tokens", 7, "Tokens counted; no usage.", cells.tokens),
        _number("item_count", "items", 6, "Models or files listed, requests in a batch."),
        Column("batch_status", "batch", 12, "State of the batch.", priority=3, max_width=24),
        _number("duration_ms", "took", 6, "From request to answer.", cells.duration),
        Column("error_type", "error", 16, "The provider's word for it.", priority=4),
        Column("agent", "agent", 12, "The program that asked.", priority=5, max_width=20),
        _number("pid", "pid", 7, "The process that asked.", cells.plain, priority=6),
        Column("host", "host", 18, "Where the request went.", priority=6, max_width=32),
        Column("batch_id", "batch id", 14, "Identifies the batch.", priority=7, max_width=40),
        Column("session_id", "session", 10, "The session, if the client says it.", priority=8),
        Column("request_id", "request", 10, "Identifies the request.", priority=9),
    ),
    newest="started_at",
)  # fmt: skip

AGENTS = Table(
    "agents",
    "Agents",
    ("agent", "agent_version", "executable", "build_id", "uid"),
    (
        Column("agent", "agent", 14, "The client.", max_width=24),
        Column("agent_version", "version", 10, "As it says.", max_width=20),
        _number("sessions", "sessions", 8, "Sessions that it took part in."),
        _number("calls", "calls", 8, "LLM calls that it made."),
        Column(
            "models", "models", 18, "Models that answered.", cells.listed, priority=2, max_width=40
        ),
        Column("last_seen_at", "last seen", 14, "End of its last call.", cells.day_and_clock),
        Column("executable", "program", 18, "Its program.", priority=2, max_width=48),
        _number("uid", "uid", 5, "User that it ran as.", cells.plain, 3),
        _number(
            "system_prompts", "prompts", 7, "Different system prompts.", cells.how_many, 4,
        ),
        _number("tool_sets", "tool sets", 9, "Different sets of tools.", cells.how_many, 4),
        Column(
            "first_seen_at", "first seen", 14, "Its first call.", cells.day_and_clock, priority=5
        ),
        Column("build_id", "build id", 12, "Of its program.", priority=6, max_width=40),
    ),
    newest="last_seen_at",
    has_session=False,
)  # fmt: skip

HEALTH = Table(
    "health",
    "Health",
    ("source", "counter", "cause"),
    (
        Column("source", "source", 10, "Which stage counted."),
        Column("counter", "counter", 20, "What was counted.", max_width=28),
        Column("cause", "cause", 20, "Why, when there is a cause.", max_width=30),
        _number(
            "value", "value", 16, "Sum over all captures in the store.",
            cells.health_value, fields=("value", "counter"),
        ),
    ),
    has_session=False,
)  # fmt: skip

COVERAGE = Table(
    "coverage",
    "Coverage",
    ("capture_id", "process_key", "stack", "path", "build_id"),
    (
        Column(
            "status", "status", 10, "hooked, on_trial, not_hooked, rejected or unseen.",
            cells.word,
        ),
        Column("program", "program", 16, "The program that speaks TLS.", max_width=44),
        _number("pid", "pid", 7, "Its process.", cells.plain),
        Column("stack", "stack", 9, "Which TLS implementation it is."),
        _number(
            "read_bytes", "plaintext", 9, "Bytes seen through the hooks, both directions.",
            cells.both_ways, fields=("read_bytes", "written_bytes"),
        ),
        _number(
            "tls_read_bytes", "TLS", 7, "Bytes of TLS records on sockets, of the whole process.",
            cells.both_ways, 3, ("tls_read_bytes", "tls_written_bytes"),
        ),
        Column("hosts", "hosts", 16, "Models' hosts that it talked to.", priority=4, max_width=34),
        Column("detail", "detail", 20, "What was hooked, or why nothing was.", max_width=70),
        Column("path", "file", 16, "The file that holds the stack.", priority=2, max_width=50),
        Column("method", "method", 8, "How the hook points were found.", priority=5, max_width=20),
    ),
    has_session=False,
    order="rank",
)  # fmt: skip

TABLES = {
    table.name: table
    for table in (
        *(SESSIONS, CALLS, TOOLS, RPC, RPC_CALLS, REQUESTS),
        *(FINDINGS, AGENTS, PROCESSES, FILES, CONNECTIONS, HEALTH, COVERAGE),
    )
}
