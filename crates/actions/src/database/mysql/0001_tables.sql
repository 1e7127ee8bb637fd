-- Texts are compared byte by byte: order ids that differ in case or in a trailing space are two
-- orders. Times are UTC. JSON is stored as text: a JSON column refuses some valid JSON and
-- rewrites the rest.

-- One row for each order, in the state after its newest event.
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

-- At most two rows for each order, never changed: the credit of its receipt and the debit of its
-- refund.
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
