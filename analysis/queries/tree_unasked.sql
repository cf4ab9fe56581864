-- What no tool call asked for: kind and id of the evidence of such findings. {sessions}: ids as
-- parameters.
SELECT DISTINCT piece.kind, piece.id
FROM (
    SELECT unnest(from_json(evidence, '[{"kind": "VARCHAR", "id": "VARCHAR"}]')) AS piece
    FROM finding
    WHERE kind = 'unasked_action' AND session_id IN ({sessions})
)
