-- Other crates keep tables of their own in this database, in the same transactions.

-- Who does, and which of its migrations the database has seen. A store opens only together with all of these.
CREATE TABLE extension (
    name    TEXT PRIMARY KEY,  -- its tables begin with this and an underscore
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
