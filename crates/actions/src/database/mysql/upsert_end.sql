-- An older version changes nothing. MySQL assigns from first to last, so the version comes last.
ON DUPLICATE KEY UPDATE
    status = IF(VALUES(version) > version, VALUES(status), status),
    policy = IF(VALUES(version) > version, VALUES(policy), policy),
    buyer_id = IF(VALUES(version) > version, VALUES(buyer_id), buyer_id),
    amount = IF(VALUES(version) > version, VALUES(amount), amount),
    currency = IF(VALUES(version) > version, VALUES(currency), currency),
    data = IF(VALUES(version) > version, VALUES(data), data),
    deadline = IF(VALUES(version) > version, VALUES(deadline), deadline),
    placed_at = IF(VALUES(version) > version, VALUES(placed_at), placed_at),
    paid_at = IF(VALUES(version) > version, VALUES(paid_at), paid_at),
    shipped_at = IF(VALUES(version) > version, VALUES(shipped_at), shipped_at),
    delivered_at = IF(VALUES(version) > version, VALUES(delivered_at), delivered_at),
    received_at = IF(VALUES(version) > version, VALUES(received_at), received_at),
    completed_at = IF(VALUES(version) > version, VALUES(completed_at), completed_at),
    cancelled_at = IF(VALUES(version) > version, VALUES(cancelled_at), cancelled_at),
    refunded_at = IF(VALUES(version) > version, VALUES(refunded_at), refunded_at),
    updated_at = IF(VALUES(version) > version, VALUES(updated_at), updated_at),
    version = GREATEST(version, VALUES(version))
