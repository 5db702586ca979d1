-- What a sync server keeps beside the resources of a tenant. docs/adr/0008-sync-backend.md tells why.

-- The tenant's history: one row.
CREATE TABLE server_state (
    key   INTEGER PRIMARY KEY CHECK (key = 1),
    epoch INTEGER NOT NULL,  -- its 64 bits
    floor INTEGER NOT NULL   -- tombstones up to this position are gone
) STRICT;

-- Scopes, each with the digest of what is in it.
CREATE TABLE server_scope (
    key   INTEGER PRIMARY KEY,
    name  TEXT NOT NULL UNIQUE,
    count INTEGER NOT NULL,  -- members
    sums  BLOB NOT NULL      -- the four sums of their hashes, 32 bytes
) STRICT;

-- A resource in a scope, at its newest position there: a page is a range of this table.
CREATE TABLE server_feed (
    scope    INTEGER NOT NULL REFERENCES server_scope (key),
    position INTEGER NOT NULL,  -- change_log.sequence
    resource INTEGER NOT NULL REFERENCES resource (key),
    version  INTEGER NOT NULL,
    at       INTEGER NOT NULL,  -- ms since 1970-01-01T00:00Z
    state    INTEGER NOT NULL,  -- 1 in the scope, 2 left it, 3 deleted
    hash     BLOB,              -- SHA-256 of the body that is in the scope
    stream   INTEGER REFERENCES server_stream (key),  -- the mutation that the version was made of
    sequence INTEGER,
    PRIMARY KEY (scope, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX server_feed_resource ON server_feed (resource, scope);

-- Resources whose body was stored with attachments apart, so that its hash is not known yet.
CREATE TABLE server_unhashed (
    resource INTEGER PRIMARY KEY REFERENCES resource (key)
) STRICT;

-- Incarnations of devices.
CREATE TABLE server_stream (
    key         INTEGER PRIMARY KEY,
    device      TEXT NOT NULL,
    incarnation INTEGER NOT NULL,  -- its 64 bits
    last        INTEGER NOT NULL,  -- the highest mutation that was decided
    UNIQUE (device, incarnation)
) STRICT;

-- What was decided of mutations, until their devices acknowledge it.
CREATE TABLE server_decided (
    stream     INTEGER NOT NULL REFERENCES server_stream (key),
    sequence   INTEGER NOT NULL,
    line       BLOB NOT NULL,  -- SHA-256 of the line that the mutation came as
    type       INTEGER NOT NULL,
    id         TEXT NOT NULL,
    settlement BLOB NOT NULL,  -- the outcome, without the current row
    PRIMARY KEY (stream, sequence)
) STRICT, WITHOUT ROWID;

-- Losing edits, for people.
CREATE TABLE server_archive (
    number   INTEGER PRIMARY KEY,
    device   TEXT NOT NULL,
    user     TEXT NOT NULL,
    cid      TEXT NOT NULL,
    kind     TEXT NOT NULL,
    type     INTEGER NOT NULL,
    id       TEXT NOT NULL,
    base     INTEGER NOT NULL,
    theirs   INTEGER,
    at       INTEGER,
    received INTEGER NOT NULL,
    paths    TEXT NOT NULL,  -- a JSON array
    mine     BLOB,
    UNIQUE (device, cid)
) STRICT;

-- What users may do where, with why.
CREATE TABLE server_grant (
    user       TEXT NOT NULL,
    scope      INTEGER NOT NULL REFERENCES server_scope (key),
    generation INTEGER NOT NULL,
    access     INTEGER,  -- 1 read, 2 write; NULL when it was taken back
    PRIMARY KEY (user, scope)
) STRICT, WITHOUT ROWID;
CREATE TABLE server_reason (
    user   TEXT NOT NULL,
    scope  INTEGER NOT NULL REFERENCES server_scope (key),
    source TEXT NOT NULL,  -- empty: by hand; otherwise the CareTeam or Group, as Type/id
    access INTEGER NOT NULL,
    PRIMARY KEY (user, scope, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX server_reason_source ON server_reason (source);
CREATE TABLE server_team (
    team   TEXT PRIMARY KEY,
    cohort TEXT NOT NULL,  -- the id of the Group that it cares for
    users  TEXT NOT NULL   -- a JSON array
) STRICT, WITHOUT ROWID;
CREATE INDEX server_team_cohort ON server_team (cohort);
CREATE TABLE server_cohort (
    cohort   TEXT PRIMARY KEY,  -- the id of a Group
    patients TEXT NOT NULL      -- a JSON array
) STRICT, WITHOUT ROWID;

-- Devices, and the invitations that they come by.
CREATE TABLE server_device (
    id        TEXT PRIMARY KEY,
    user      TEXT NOT NULL,
    name      TEXT NOT NULL,
    key       BLOB NOT NULL,  -- SHA-256 of its public key
    serial    TEXT NOT NULL,
    lease_key TEXT,
    state     INTEGER NOT NULL,  -- 1 active, 2 revoked, 3 to be wiped, 4 wiped
    wipe      TEXT,              -- the order or the receipt, as JSON
    enrolled  INTEGER NOT NULL,
    seen      INTEGER NOT NULL,
    position  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE server_invitation (
    code   BLOB PRIMARY KEY,  -- SHA-256
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Attachments that devices sent apart, in chunks.
CREATE TABLE server_upload (
    key      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    device   TEXT NOT NULL,
    hash     BLOB NOT NULL,
    size     INTEGER NOT NULL,
    start    INTEGER NOT NULL,  -- where the next chunk begins
    at       INTEGER NOT NULL
) STRICT;
CREATE TABLE server_blob (
    hash   BLOB PRIMARY KEY,
    size   INTEGER NOT NULL,
    upload INTEGER NOT NULL UNIQUE  -- the upload that it came by: its chunks
) STRICT, WITHOUT ROWID;
CREATE TABLE server_chunk (
    upload INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (upload, start)
) STRICT;
CREATE TABLE server_blob_reference (
    hash     BLOB NOT NULL,
    resource INTEGER NOT NULL REFERENCES resource (key),
    PRIMARY KEY (hash, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX server_blob_reference_resource ON server_blob_reference (resource);
