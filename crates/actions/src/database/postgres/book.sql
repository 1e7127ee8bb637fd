-- Adds missing entries of the ledger; returns the orders that got one.
INSERT INTO {prefix}ledger (order_id, kind, event_id, buyer_id, points)
SELECT order_id, $1, event_id, buyer_id, points
FROM UNNEST($2::text[], $3::text[], $4::text[], $5::bigint[])
    AS new (order_id, event_id, buyer_id, points)
ON CONFLICT (order_id, kind) DO NOTHING
RETURNING order_id
