-- All values are text that can be read with the sqlite3 shell, or integers. Times are milliseconds
-- since 1970.

-- The identity of this file.
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('identity', lower(hex(randomblob(8))));

-- The key increases with each placed order, so that orders that are due together are on few pages.
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

-- Both lanes are in one table, so that one index finds an id in either. Lane 0 is pending: `at` is
-- the next attempt or the end of the lease. Lane 1 contains dead letters: `at` is when they died.
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

-- Orders that came to rest in one commit, one id a line. A key is never used again, so that a late
-- removal of a note cannot remove another note.
CREATE TABLE retention (
    key     INTEGER PRIMARY KEY AUTOINCREMENT,
    shard   INTEGER NOT NULL,
    look_at INTEGER NOT NULL,
    ids     TEXT    NOT NULL
) STRICT;
CREATE INDEX retention_by_time ON retention (look_at);

-- Small values that all workers share.
CREATE TABLE register (
    space TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;

-- Capped lists. The numbers of a list have no gaps, because only the oldest rows are removed.
CREATE TABLE log (
    list TEXT    NOT NULL,
    seq  INTEGER NOT NULL,
    row  TEXT    NOT NULL,
    PRIMARY KEY (list, seq)
) STRICT, WITHOUT ROWID;
