-- Everything is kept as text that a person can read with the sqlite3 shell. Instants are
-- milliseconds since 1970.

-- What sets this file apart from every other.
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('identity', lower(hex(randomblob(8))));

-- The key rises with each order placed, so that orders that fall due together lie together on few
-- pages.
CREATE TABLE orders (
    key        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    shard      INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    due_at     INTEGER,
    held_since INTEGER,
    record     TEXT    NOT NULL
) STRICT;
CREATE INDEX orders_by_due ON orders (shard, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX orders_by_hold ON orders (held_since) WHERE held_since IS NOT NULL;

-- Both lanes in one table, so that one index tells whether either of them has an id. Lane 0 is
-- pending: `at` is the next attempt, or the end of the lease. Lane 1 holds dead letters: `at` is
-- when they were given up.
CREATE TABLE outbox (
    key    INTEGER PRIMARY KEY,
    action TEXT    NOT NULL,
    lane   INTEGER NOT NULL,
    shard  INTEGER NOT NULL,
    id     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    text   TEXT    NOT NULL,
    UNIQUE (action, id, shard, lane)
) STRICT;
CREATE INDEX outbox_by_time ON outbox (action, lane, at);

CREATE TABLE counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE terms (revision TEXT PRIMARY KEY, terms TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Orders that came to rest together, an id a line. The key is never used again: a worker that
-- removes a note late must not remove another one.
CREATE TABLE retention (
    key     INTEGER PRIMARY KEY AUTOINCREMENT,
    shard   INTEGER NOT NULL,
    look_at INTEGER NOT NULL,
    ids     TEXT    NOT NULL
) STRICT;
CREATE INDEX retention_by_time ON retention (look_at);

-- Small facts that all workers share.
CREATE TABLE register (
    space TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;

-- Capped lists. The numbers of a list have no gaps: rows are removed at its old end only.
CREATE TABLE log (
    list TEXT    NOT NULL,
    seq  INTEGER NOT NULL,
    row  TEXT    NOT NULL,
    PRIMARY KEY (list, seq)
) STRICT, WITHOUT ROWID;
