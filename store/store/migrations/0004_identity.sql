-- From the type and id of a resource to its row: an index of keepwell-index, as that of search is. Ids are random, and a
-- B-tree over them takes a page of its own to read and write for nearly every resource of a large store.

DROP INDEX resource_type_id;

-- The blocks of all segments: written once, never changed.
CREATE TABLE identity_block (
    id   INTEGER PRIMARY KEY,  -- segment in the high 31 bits, number of the block in the low 32
    data BLOB NOT NULL         -- at most one page
) STRICT;

-- The segments: each holds the types and ids of a range of rows.
CREATE TABLE identity_segment (
    id          INTEGER PRIMARY KEY,
    description BLOB NOT NULL
) STRICT;

-- Those of rows that are in no segment yet, a row a commit.
CREATE TABLE identity_pending (
    last INTEGER PRIMARY KEY,  -- resource.key of the last row in it
    data BLOB NOT NULL
) STRICT;

-- Rows of resource up to this key are in it.
ALTER TABLE search_state ADD COLUMN identified INTEGER NOT NULL DEFAULT 0;
