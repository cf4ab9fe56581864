-- What the processes of agents did: files, connections, privileges, and content of sensitive files
-- that was seen again in what was sent.

CREATE TABLE file_event (
    file_event_id TEXT NOT NULL,
    capture_id TEXT NOT NULL,
    process_key TEXT NOT NULL,
    pid BIGINT NOT NULL,
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL,
    count BIGINT NOT NULL,
    operation TEXT NOT NULL,
    access TEXT,
    path TEXT NOT NULL,
    new_path TEXT,
    error TEXT,
    creates BOOLEAN NOT NULL,
    exclusive BOOLEAN NOT NULL,
    truncates BOOLEAN NOT NULL,
    appends BOOLEAN NOT NULL,
    mode BIGINT,
    size_bytes BIGINT,
    device BIGINT,
    inode BIGINT,
    sensitive TEXT,
    truncated BOOLEAN NOT NULL
);

CREATE TABLE network_event (
    network_event_id TEXT NOT NULL,
    capture_id TEXT NOT NULL,
    process_key TEXT NOT NULL,
    pid BIGINT NOT NULL,
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL,
    count BIGINT NOT NULL,
    transport TEXT NOT NULL,
    address TEXT NOT NULL,
    port BIGINT,
    name TEXT,
    name_source TEXT,
    error TEXT
);

CREATE TABLE privilege_change (
    privilege_change_id TEXT NOT NULL,
    capture_id TEXT NOT NULL,
    process_key TEXT NOT NULL,
    pid BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    change TEXT NOT NULL,
    error TEXT,
    uid BIGINT NOT NULL,
    euid BIGINT NOT NULL,
    capabilities TEXT[] NOT NULL,
    detail TEXT,
    target_pid BIGINT
);

CREATE TABLE content_sighting (
    sighting_id TEXT NOT NULL,
    capture_id TEXT NOT NULL,
    path TEXT,
    sensitive TEXT NOT NULL,
    read_process_key TEXT NOT NULL,
    read_ns BIGINT NOT NULL,
    process_key TEXT NOT NULL,
    pid BIGINT NOT NULL,
    sent_ns BIGINT NOT NULL,
    call_id TEXT,
    host TEXT,
    url_path TEXT,
    encoding TEXT NOT NULL,
    matched BIGINT NOT NULL,
    known BIGINT NOT NULL,
    place TEXT NOT NULL
);

-- Sessions of which rows were written since they were analysed.
CREATE TABLE stale_session (session_id TEXT NOT NULL);

-- A process that was not seen to begin has no row in `process`.

CREATE VIEW file_events AS
SELECT
    file_event_id, event.capture_id,
    make_timestamptz(first_ns // 1000) AS first_at,
    make_timestamptz(last_ns // 1000) AS last_at,
    event.count, event.pid, comm, session_id,
    operation, access, path, new_path, error,
    creates, exclusive, truncates, appends, mode, size_bytes,
    sensitive, device, inode, truncated, process_key
FROM file_event AS event
LEFT JOIN process USING (process_key);

CREATE VIEW network_events AS
SELECT
    network_event_id, event.capture_id,
    make_timestamptz(first_ns // 1000) AS first_at,
    make_timestamptz(last_ns // 1000) AS last_at,
    event.count, event.pid, comm, session_id,
    transport, address, port, name, name_source, error, process_key
FROM network_event AS event
LEFT JOIN process USING (process_key);

CREATE VIEW privilege_changes AS
SELECT
    privilege_change_id, change.capture_id,
    make_timestamptz(at_ns // 1000) AS at,
    change.pid, comm, session_id,
    change.change, error, change.uid, euid, capabilities, detail, target_pid, process_key
FROM privilege_change AS change
LEFT JOIN process USING (process_key);

CREATE VIEW content_sightings AS
SELECT
    sighting_id, sighting.capture_id,
    make_timestamptz(sent_ns // 1000) AS at,
    make_timestamptz(read_ns // 1000) AS read_at,
    path, sensitive, sighting.pid, comm, session_id,
    call_id, host, url_path, place, encoding, matched, known, process_key, read_process_key
FROM content_sighting AS sighting
LEFT JOIN process USING (process_key);
