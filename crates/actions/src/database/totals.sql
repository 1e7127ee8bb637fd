SELECT
    CAST((SELECT COUNT(*) FROM {prefix}events) AS {text}) AS events,
    CAST((SELECT COUNT(*) FROM {prefix}ledger) AS {text}) AS entries,
    CAST((SELECT COUNT(*) FROM {prefix}balances) AS {text}) AS buyers,
    CAST((SELECT COALESCE(SUM(points), 0) FROM {prefix}ledger) AS {text}) AS ledger,
    CAST((SELECT COALESCE(SUM(points), 0) FROM {prefix}balances) AS {text}) AS balances,
    CAST((
        SELECT COUNT(*) FROM {prefix}events AS e
        LEFT JOIN {prefix}ledger AS l ON l.order_id = e.order_id AND l.kind = 'credit'
        WHERE e.type = 'order.received' AND e.buyer_id IS NOT NULL AND l.order_id IS NULL
            AND e.recorded_at < (SELECT MIN(booked_at) FROM {prefix}ledger) - {minute}
    ) AS {text}) AS earlier
