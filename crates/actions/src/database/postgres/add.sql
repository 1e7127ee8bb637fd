INSERT INTO {prefix}balances AS old (buyer_id, points)
SELECT buyer_id, points FROM UNNEST($1::text[], $2::bigint[]) AS new (buyer_id, points)
ON CONFLICT (buyer_id) DO UPDATE SET points = old.points + excluded.points
