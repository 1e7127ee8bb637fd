-- Adds missing events; returns their ids.
INSERT INTO {prefix}events (
    event_id, order_id, version, type, cause, buyer_id, received_at, occurred_at, body
)
SELECT
    event_id, order_id, version, type, cause, buyer_id, received_at::timestamptz,
    occurred_at::timestamptz, body::json
FROM UNNEST(
    $1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[]
) AS new (event_id, order_id, version, type, cause, buyer_id, received_at, occurred_at, body)
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
