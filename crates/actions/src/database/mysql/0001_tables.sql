-- Texts are compared byte by byte: order ids that differ in case, or by a space at the end, are two orders. Times are UTC.
-- JSON is kept as text: a JSON column refuses what is valid JSON, or rewrites it.

-- One row for each order, as its newest event left it.
CREATE TABLE IF NOT EXISTS {prefix}orders (
    order_id     varchar(128) NOT NULL PRIMARY KEY,
    status       varchar(16)  NOT NULL,
    version      bigint       NOT NULL,
    policy       varchar(255) NOT NULL,
    buyer_id     varchar(128),
    amount       bigint,
    currency     char(3),
    deadline     datetime(3),
    placed_at    datetime(3)  NOT NULL,
    paid_at      datetime(3),
    shipped_at   datetime(3),
    delivered_at datetime(3),
    received_at  datetime(3),
    completed_at datetime(3),
    cancelled_at datetime(3),
    refunded_at  datetime(3),
    updated_at   datetime(3)  NOT NULL,
    data         mediumtext,
    KEY buyer (buyer_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

-- One row for each event, never changed.
CREATE TABLE IF NOT EXISTS {prefix}events (
    event_id    varchar(405) NOT NULL PRIMARY KEY,
    order_id    varchar(128) NOT NULL,
    version     bigint       NOT NULL,
    type        varchar(32)  NOT NULL,
    cause       varchar(16)  NOT NULL,
    buyer_id    varchar(128),
    received_at datetime(3),
    occurred_at datetime(3)  NOT NULL,
    recorded_at datetime(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    body        mediumtext   NOT NULL,
    KEY of_order (order_id, version)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

-- At most two rows for each order, never changed: what its receipt credited, and what its refund took back.
CREATE TABLE IF NOT EXISTS {prefix}ledger (
    order_id  varchar(128) NOT NULL,
    kind      varchar(16)  NOT NULL,
    event_id  varchar(405) NOT NULL,
    buyer_id  varchar(128) NOT NULL,
    points    bigint       NOT NULL,
    booked_at datetime(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (order_id, kind),
    KEY buyer (buyer_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

-- The sum of each buyer's ledger.
CREATE TABLE IF NOT EXISTS {prefix}balances (
    buyer_id varchar(128) NOT NULL PRIMARY KEY,
    points   bigint       NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};
