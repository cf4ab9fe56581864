-- Contents by hash. $hashes: a list. By rowid, so that no other body is read.
SELECT content_hash, kind, role, size_bytes, body
FROM content
WHERE rowid IN (
    SELECT rowid FROM content WHERE content_hash IN (SELECT unnest($hashes::TEXT[]))
)
