-- The digest of what a scope holds, kept as it changes, so that a comparison with the server's reads one row. That of a
-- scope from before is wrong: at its first comparison it is counted anew from the members.

ALTER TABLE sync_scope ADD COLUMN count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_scope ADD COLUMN sums BLOB NOT NULL
    DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000';
