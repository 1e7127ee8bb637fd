-- Names that are kept in mind.
CREATE TABLE remembered (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
