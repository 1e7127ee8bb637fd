-- One row for each order, in the state after its newest event.
CREATE TABLE {prefix}orders (
    order_id     text        PRIMARY KEY,
    status       text        NOT NULL,
    version      bigint      NOT NULL,
    policy       text        NOT NULL,
    buyer_id     text,
    amount       bigint,
    currency     text,
    deadline     timestamptz,
    placed_at    timestamptz NOT NULL,
    paid_at      timestamptz,
    shipped_at   timestamptz,
    delivered_at timestamptz,
    received_at  timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    refunded_at  timestamptz,
    updated_at   timestamptz NOT NULL,
    -- json, not jsonb: jsonb refuses some valid JSON, \u0000 for example.
    data         json
);
CREATE INDEX {prefix}orders_buyer ON {prefix}orders (buyer_id);

-- One row for each event, never changed.
CREATE TABLE {prefix}events (
    event_id    text        PRIMARY KEY,
    order_id    text        NOT NULL,
    version     bigint      NOT NULL,
    type        text        NOT NULL,
    cause       text        NOT NULL,
    buyer_id    text,
    received_at timestamptz,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    body        json        NOT NULL
);
CREATE INDEX {prefix}events_order ON {prefix}events (order_id, version);

-- At most two rows for each order, never changed: the credit of its receipt and the debit of its
-- refund.
CREATE TABLE {prefix}ledger (
    order_id  text        NOT NULL,
    kind      text        NOT NULL,
    event_id  text        NOT NULL,
    buyer_id  text        NOT NULL,
    points    bigint      NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, kind)
);
CREATE INDEX {prefix}ledger_buyer ON {prefix}ledger (buyer_id);

-- The sum of each buyer's ledger.
CREATE TABLE {prefix}balances (
    buyer_id text   PRIMARY KEY,
    points   bigint NOT NULL
);
