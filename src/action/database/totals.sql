SELECT
    CAST((SELECT COUNT(*) FROM {prefix}events) AS {text}) AS events,
    CAST((SELECT COUNT(*) FROM {prefix}ledger) AS {text}) AS entries,
    CAST((SELECT COUNT(*) FROM {prefix}balances) AS {text}) AS buyers,
    CAST((SELECT COALESCE(SUM(points), 0) FROM {prefix}ledger) AS {text}) AS ledger,
    CAST((SELECT COALESCE(SUM(points), 0) FROM {prefix}balances) AS {text}) AS balances
