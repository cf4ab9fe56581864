-- Build ids of executables, as far as they hold a TLS stack.
SELECT path, any_value(build_id) FROM tls_coverage
WHERE path IS NOT NULL AND nullif(build_id, '') IS NOT NULL
GROUP BY path
