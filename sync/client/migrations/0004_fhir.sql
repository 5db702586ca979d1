-- What sync with a plain FHIR server knows of this device's resources. `name` is type and id here: 'Patient/p1'.
-- Edits and conflicts are in the tables of 0001.

CREATE TABLE sync_fhir_resource (
    name TEXT PRIMARY KEY,
    server_name TEXT,                        -- type and id there, if the id is another one
    standing INTEGER NOT NULL,               -- 0 listed, 1 here, 2 deleted, 3 unavailable
    version TEXT,                            -- as the server writes it
    at_ms INTEGER,                           -- when that version was made, by the server's clock
    hash BLOB,                               -- of the content in that version
    is_wanted INTEGER NOT NULL               -- it has to be read
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX sync_fhir_server_name ON sync_fhir_resource (server_name) WHERE server_name IS NOT NULL;
CREATE INDEX sync_fhir_wanted ON sync_fhir_resource (name) WHERE is_wanted = 1;
CREATE INDEX sync_fhir_unavailable ON sync_fhir_resource (name) WHERE standing = 3;

-- Writes that may have left the device and are not settled.
CREATE TABLE sync_fhir_flight (
    name TEXT PRIMARY KEY,
    intent TEXT NOT NULL,                    -- post, create, update, delete
    version TEXT,                            -- the version that it goes over
    mark TEXT,                               -- by which a resource is found that was posted
    sent BLOB                                -- the content; NULL for a deletion
) STRICT, WITHOUT ROWID;

-- What each search found last, and how often whole lists have missed it since.
CREATE TABLE sync_fhir_member (
    search INTEGER NOT NULL,
    name TEXT NOT NULL,
    round INTEGER NOT NULL,
    misses INTEGER NOT NULL,
    PRIMARY KEY (search, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX sync_fhir_member_name ON sync_fhir_member (name);
CREATE INDEX sync_fhir_member_round ON sync_fhir_member (search, round);

-- Among the settings, `fhir` is the server and how to reach it, `fhir-state` the engine's own.
