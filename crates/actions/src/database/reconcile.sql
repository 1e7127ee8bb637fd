-- The differences between events, ledger and balances: problem, subject, expected, found.
--
-- Events that were recorded more than a minute before the first booking are left out: no points
-- were kept then. totals.sql counts them. The minute covers the transaction of the first booking.
SELECT 'a balance is not the sum of its ledger' AS problem, buyer_id AS subject,
    CAST(SUM(booked) AS {text}) AS expected, CAST(SUM(held) AS {text}) AS found
FROM (
    SELECT buyer_id, points AS booked, 0 AS held FROM {prefix}ledger
    UNION ALL
    SELECT buyer_id, 0, points FROM {prefix}balances
) AS sums
GROUP BY buyer_id HAVING SUM(booked) <> SUM(held)

UNION ALL
SELECT 'a receipt has no credit', e.event_id, 'a credit', 'none'
FROM {prefix}events AS e
LEFT JOIN {prefix}ledger AS l ON l.order_id = e.order_id AND l.kind = 'credit'
WHERE e.type = 'order.received' AND e.buyer_id IS NOT NULL AND l.order_id IS NULL
    AND e.recorded_at
        >= COALESCE((SELECT MIN(booked_at) FROM {prefix}ledger) - {minute}, e.recorded_at)

UNION ALL
SELECT 'a refund after the receipt has no debit', e.event_id, 'a debit', 'none'
FROM {prefix}events AS e
LEFT JOIN {prefix}ledger AS l ON l.order_id = e.order_id AND l.kind = 'debit'
WHERE e.type = 'order.refunded' AND e.received_at IS NOT NULL AND e.buyer_id IS NOT NULL
    AND l.order_id IS NULL
    AND e.recorded_at
        >= COALESCE((SELECT MIN(booked_at) FROM {prefix}ledger) - {minute}, e.recorded_at)

UNION ALL
SELECT 'an entry of the ledger has no event of its order and buyer', l.event_id, 'the event', 'none'
FROM {prefix}ledger AS l
LEFT JOIN {prefix}events AS e
    ON e.event_id = l.event_id AND e.order_id = l.order_id AND e.buyer_id = l.buyer_id
    AND (e.type = 'order.refunded' OR (e.type = 'order.received' AND l.kind = 'credit'))
WHERE e.event_id IS NULL

UNION ALL
SELECT 'a credit that a refund made is not zero', l.event_id, '0', CAST(l.points AS {text})
FROM {prefix}ledger AS l
JOIN {prefix}events AS e ON e.event_id = l.event_id AND e.type = 'order.refunded'
WHERE l.kind = 'credit' AND l.points <> 0

UNION ALL
SELECT
    'a debit is not its credit taken back', d.event_id,
    CAST(-c.points AS {text}), CAST(d.points AS {text})
FROM {prefix}ledger AS d
LEFT JOIN {prefix}ledger AS c ON c.order_id = d.order_id AND c.kind = 'credit'
WHERE d.kind = 'debit' AND (c.order_id IS NULL OR c.points <> -d.points)

ORDER BY problem, subject
LIMIT {limit}
