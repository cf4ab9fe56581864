-- Raw data kept beside the store, and which version decoded a capture.

ALTER TABLE capture ADD COLUMN raw_path TEXT;
ALTER TABLE capture ADD COLUMN raw_bytes BIGINT;
ALTER TABLE capture ADD COLUMN raw_state TEXT;
ALTER TABLE capture ADD COLUMN decoded_by TEXT;
ALTER TABLE capture ADD COLUMN decoded_ns BIGINT;

UPDATE capture SET decoded_by = version;

CREATE OR REPLACE VIEW captures AS
SELECT
    capture_id,
    make_timestamptz(started_ns // 1000) AS started_at,
    make_timestamptz(ended_ns // 1000) AS ended_at,
    command, version, boot_id, kernel,
    raw_path, raw_bytes, raw_state, decoded_by,
    make_timestamptz(decoded_ns // 1000) AS decoded_at
FROM capture;
