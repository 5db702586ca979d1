-- What sync knows of this device's resources. `name` is type and id: 'Patient/p1'. Versions of resources and of
-- meta.versionId are this store's own, dense; the server's stand in columns that say so.

CREATE TABLE sync_resource (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    server_version INTEGER,                  -- what is here descends from this; NULL: never there, as far as is known
    server_hash BLOB,                        -- of the body in that version; NULL: a tombstone
    unplaced INTEGER,                        -- position of an own write whose scopes are not known yet
    is_own INTEGER NOT NULL DEFAULT 0,       -- this device made that version
    is_doubtful INTEGER NOT NULL DEFAULT 0,  -- the version is of another history of the server
    edit_order INTEGER,                      -- set while there is an edit to be sent: change_log.sequence of the first
    edit_last INTEGER,                       -- change_log.sequence of the last
    edit_group INTEGER,                      -- edits with the same number are sent and applied all or none
    base_version INTEGER,                    -- this store's version that has the content which was edited
    base_content BLOB,                       -- that content, where no version of this store has it
    merge TEXT                               -- JSON: how the content was merged
) STRICT;

CREATE INDEX sync_resource_edit ON sync_resource (edit_order) WHERE edit_order IS NOT NULL;
CREATE INDEX sync_resource_edit_last ON sync_resource (edit_last) WHERE edit_last IS NOT NULL;
CREATE INDEX sync_resource_group ON sync_resource (edit_group, edit_order) WHERE edit_group IS NOT NULL;
CREATE INDEX sync_resource_unplaced ON sync_resource (unplaced) WHERE unplaced IS NOT NULL;

-- Edits whose bytes may have left the device: these bytes are sent again as they are.
CREATE TABLE sync_mutation (
    sequence INTEGER PRIMARY KEY,
    resource INTEGER NOT NULL UNIQUE REFERENCES sync_resource (key),
    line BLOB NOT NULL
) STRICT;

-- The newest row of a resource with such an edit.
CREATE TABLE sync_held (
    resource INTEGER PRIMARY KEY REFERENCES sync_resource (key),
    line BLOB NOT NULL
) STRICT;

CREATE TABLE sync_scope (
    key INTEGER PRIMARY KEY,
    scope TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    round INTEGER NOT NULL,
    position INTEGER,                        -- how far it has been read, if that is not the cursor
    is_complete INTEGER NOT NULL,
    mismatches INTEGER NOT NULL
) STRICT;

CREATE TABLE sync_member (
    scope INTEGER NOT NULL REFERENCES sync_scope (key),
    resource INTEGER NOT NULL REFERENCES sync_resource (key),
    round INTEGER NOT NULL,
    PRIMARY KEY (scope, resource)
) STRICT, WITHOUT ROWID;

CREATE INDEX sync_member_resource ON sync_member (resource);

-- Rows that nobody sees before the next checkpoint.
CREATE TABLE sync_stage (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL,
    line BLOB NOT NULL
) STRICT;

-- Edits that lost.
CREATE TABLE sync_conflict (
    number INTEGER PRIMARY KEY,
    cid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    is_archived INTEGER NOT NULL,
    record TEXT NOT NULL,                    -- JSON: kind, versions, paths, reasons, time
    base BLOB,
    mine BLOB,
    theirs BLOB,
    outcome BLOB
) STRICT;

CREATE INDEX sync_conflict_name ON sync_conflict (name);
CREATE INDEX sync_conflict_open ON sync_conflict (number) WHERE is_open = 1;
CREATE INDEX sync_conflict_unarchived ON sync_conflict (number) WHERE is_archived = 0;

-- Attachments on their way. The bytes are the base64 text that stood in the resource.
CREATE TABLE sync_blob (
    hash BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    have INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    upload TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_blob_part (
    hash BLOB NOT NULL REFERENCES sync_blob (hash),
    start INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (hash, start)
) STRICT, WITHOUT ROWID;

-- Types that never leave the device.
CREATE TABLE sync_local_type (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- `state`: the engine's own. `key`, `device`: what this device shows to its server. `life`: the life of the store in
-- which it was last synced. `adopted`: up to which change older resources have been noted. `lease`, `met`: for people.
CREATE TABLE sync_setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
