-- When each finding of the scopes was found first. $scopes: a list.
SELECT finding_id, found_ns FROM finding WHERE scope IN (SELECT unnest($scopes::TEXT[]))
