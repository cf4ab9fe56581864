-- TLS stacks of processes; those that are not seen have the lowest `rank`.
SELECT
    capture_id, pid, program, stack, status, path, method, detail, read_bytes, written_bytes,
    tls_read_bytes, tls_written_bytes, hosts, build_id, started_at, process_key, rank
FROM coverage
