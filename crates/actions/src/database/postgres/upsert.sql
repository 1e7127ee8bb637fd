-- Writes orders in the state after their newest event. An older version changes nothing.
INSERT INTO {prefix}orders AS old (
    order_id, status, version, policy, buyer_id, amount, currency, data, deadline, placed_at,
    paid_at, shipped_at, delivered_at, received_at, completed_at, cancelled_at, refunded_at,
    updated_at
)
SELECT
    order_id, status, version, policy, buyer_id, amount, currency, data::json,
    deadline::timestamptz, placed_at::timestamptz, paid_at::timestamptz, shipped_at::timestamptz,
    delivered_at::timestamptz, received_at::timestamptz, completed_at::timestamptz,
    cancelled_at::timestamptz, refunded_at::timestamptz, updated_at::timestamptz
FROM UNNEST(
    $1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::text[], $17::text[], $18::text[]
) AS new (
    order_id, status, version, policy, buyer_id, amount, currency, data, deadline, placed_at,
    paid_at, shipped_at, delivered_at, received_at, completed_at, cancelled_at, refunded_at,
    updated_at
)
ON CONFLICT (order_id) DO UPDATE SET
    status = excluded.status,
    version = excluded.version,
    policy = excluded.policy,
    buyer_id = excluded.buyer_id,
    amount = excluded.amount,
    currency = excluded.currency,
    data = excluded.data,
    deadline = excluded.deadline,
    placed_at = excluded.placed_at,
    paid_at = excluded.paid_at,
    shipped_at = excluded.shipped_at,
    delivered_at = excluded.delivered_at,
    received_at = excluded.received_at,
    completed_at = excluded.completed_at,
    cancelled_at = excluded.cancelled_at,
    refunded_at = excluded.refunded_at,
    updated_at = excluded.updated_at
WHERE old.version < excluded.version
