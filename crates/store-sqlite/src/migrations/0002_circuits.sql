-- How the receivers of actions are doing, for those of which something is known.
CREATE TABLE circuits (action TEXT PRIMARY KEY, circuit TEXT NOT NULL) STRICT, WITHOUT ROWID;
