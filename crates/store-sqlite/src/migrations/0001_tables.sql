-- Everything is kept as text that a person can read with the sqlite3 shell; instants are milliseconds since 1970.

-- The key rises with each order placed, so that orders that fall due together lie together on few pages.
CREATE TABLE orders (
    key     INTEGER PRIMARY KEY,
    id      TEXT    NOT NULL UNIQUE,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    wake    INTEGER,
    held    INTEGER,
    record  TEXT    NOT NULL
) STRICT;
CREATE INDEX orders_by_wake ON orders (shard, wake) WHERE wake IS NOT NULL;
CREATE INDEX orders_by_held ON orders (held) WHERE held IS NOT NULL;

-- `at` is the next attempt, or the end of the lease.
CREATE TABLE outbox (
    key    INTEGER PRIMARY KEY,
    action TEXT    NOT NULL,
    shard  INTEGER NOT NULL,
    id     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    data   TEXT    NOT NULL,
    UNIQUE (action, id)
) STRICT;
CREATE INDEX outbox_by_time ON outbox (action, at);

CREATE TABLE dead (
    key    INTEGER PRIMARY KEY,
    action TEXT    NOT NULL,
    shard  INTEGER NOT NULL,
    id     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    data   TEXT    NOT NULL,
    UNIQUE (action, id)
) STRICT;

CREATE INDEX dead_by_time ON dead (action, at);

-- Every action that ever had an entry, so that it is shown after it has left the configuration.
CREATE TABLE actions (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE terms (revision TEXT PRIMARY KEY, terms TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Orders that came to rest together, an id a line. The key is never used again: a worker that removes a note late must
-- not remove another one.
CREATE TABLE notes (
    key     INTEGER PRIMARY KEY AUTOINCREMENT,
    shard   INTEGER NOT NULL,
    look_at INTEGER NOT NULL,
    ids     TEXT    NOT NULL
) STRICT;
CREATE INDEX notes_by_time ON notes (look_at);
