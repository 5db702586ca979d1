-- The store on a device. docs/data-model.md tells how rows move.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Who acts: one row for each distinct combination, referred to by audit.
CREATE TABLE actor (
    key     INTEGER PRIMARY KEY,
    user    TEXT NOT NULL,  -- the person, as the host app names them
    app     TEXT NOT NULL,
    device  TEXT NOT NULL,
    purpose TEXT NOT NULL,  -- v3-PurposeOfUse code, e.g. TREAT, BTG
    mac     BLOB NOT NULL,  -- HMAC-SHA-256 over this row: events carry the key only
    UNIQUE (user, app, device, purpose)
) STRICT;

-- Owners of patient compartments, whether or not the Patient itself is here.
CREATE TABLE patient (
    key INTEGER PRIMARY KEY,
    id  ANY NOT NULL UNIQUE  -- as resource.id
) STRICT;

-- The current version of each resource. A row stays for ever: a deleted or purged resource has no body.
CREATE TABLE resource (
    key          INTEGER PRIMARY KEY,  -- rises by time of creation, so inserts append
    type         INTEGER NOT NULL,     -- keepwell_fhir::ResourceType::code
    id           ANY NOT NULL,         -- a lower-case UUID as 16 bytes, any other id as text
    version      INTEGER NOT NULL,     -- meta.versionId, from 1
    last_updated INTEGER NOT NULL,     -- meta.lastUpdated, ms since 1970-01-01T00:00Z
    change       INTEGER NOT NULL,     -- change_log.sequence of this version
    patient      INTEGER REFERENCES patient (key),
    slot         INTEGER NOT NULL,     -- keepwell_fhir::Slot: where meta.versionId goes back in
    body         BLOB                  -- codec byte and content (body.rs); NULL when deleted or purged
) STRICT;
CREATE UNIQUE INDEX resource_type_id ON resource (type, id);
CREATE INDEX resource_patient ON resource (patient) WHERE patient IS NOT NULL;

-- Superseded versions, each compressed against its successor.
CREATE TABLE resource_version (
    resource     INTEGER NOT NULL REFERENCES resource (key),
    version      INTEGER NOT NULL,
    last_updated INTEGER NOT NULL,
    change       INTEGER NOT NULL,
    slot         INTEGER NOT NULL,
    body         BLOB,
    PRIMARY KEY (resource, version)
) STRICT, WITHOUT ROWID;

-- One row for each version ever made, in commit order: history, the change feed and sync read it.
CREATE TABLE change_log (
    sequence  INTEGER PRIMARY KEY,  -- dense, from 1, never reused
    resource  INTEGER NOT NULL REFERENCES resource (key),
    type      INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    operation INTEGER NOT NULL,     -- 1 create, 2 update, 3 delete, 4 purge
    hash      BLOB NOT NULL         -- first 16 bytes of SHA-256 of the body as stored, before compression
) STRICT;
CREATE INDEX change_log_type ON change_log (type);

-- Identifiers, for conditional interactions.
CREATE TABLE identifier (
    hash     INTEGER NOT NULL,  -- 64 bits of SHA-256 over type, system and value; candidates are read and compared
    resource INTEGER NOT NULL REFERENCES resource (key),
    PRIMARY KEY (hash, resource)
) STRICT, WITHOUT ROWID;

-- Attachments above 16 KiB, each an encrypted file under blobs/.
CREATE TABLE blob (
    key  INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,  -- SHA-256 of the content: equal content is kept once
    file BLOB NOT NULL UNIQUE,  -- 16 random bytes: the name of the file, bound into its encryption
    size INTEGER NOT NULL       -- bytes of content
) STRICT;
CREATE TABLE blob_reference (
    blob     INTEGER NOT NULL REFERENCES blob (key),
    resource INTEGER NOT NULL REFERENCES resource (key),
    version  INTEGER NOT NULL,
    PRIMARY KEY (blob, resource, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_reference_resource ON blob_reference (resource, version);

-- The audit trail: an event a row, each bound to the one before by its mac (audit/chain.rs).
CREATE TABLE audit (
    sequence     INTEGER PRIMARY KEY,  -- dense, from 1: a gap is a deletion
    recorded     INTEGER NOT NULL,     -- ms since 1970-01-01T00:00Z, never earlier than the row before
    skew         INTEGER,              -- ms that the wall clock stood behind `recorded`, when it did
    actor        INTEGER NOT NULL REFERENCES actor (key),
    action       INTEGER NOT NULL,     -- audit::Action code
    outcome      INTEGER NOT NULL,     -- AuditEvent.outcome: 0, 4, 8 or 12
    resource     INTEGER,              -- resource.key when the event is about exactly one
    version      INTEGER,              -- the version read or written, with resource
    patient      INTEGER,              -- patient.key when the event is about exactly one
    first_change INTEGER,              -- what it wrote: change_log.sequence first_change..=last_change
    last_change  INTEGER,
    digest       BLOB,                 -- SHA-256 over those change_log rows
    detail       TEXT,                 -- search string, reason, counts: a JSON object
    mac          BLOB NOT NULL         -- HMAC-SHA-256 over the previous mac and this row
) STRICT;
CREATE INDEX audit_kind ON audit (actor, action, outcome);
CREATE INDEX audit_resource ON audit (resource) WHERE resource IS NOT NULL;
CREATE INDEX audit_patient ON audit (patient) WHERE patient IS NOT NULL;
CREATE INDEX audit_first_change ON audit (first_change) WHERE first_change IS NOT NULL;

-- Signed notes over the chain (C2SP tlog-checkpoint text), and the proofs of purged segments.
CREATE TABLE audit_checkpoint (
    sequence INTEGER PRIMARY KEY,  -- the last audit.sequence that it covers
    note     TEXT NOT NULL
) STRICT;
CREATE TABLE audit_purged (
    last_sequence  INTEGER PRIMARY KEY,  -- rows first_sequence..=last_sequence were purged
    first_sequence INTEGER NOT NULL,
    before_mac     BLOB NOT NULL,        -- mac of the row before the segment
    last_mac       BLOB NOT NULL,        -- mac of the last purged row: the chain goes on from here
    digest         BLOB NOT NULL,        -- SHA-256 over the macs of the segment, in order
    mac            BLOB NOT NULL         -- HMAC-SHA-256 over this row
) STRICT;

-- Append-only: no row is changed, replaced or deleted, but for those that a proof in audit_purged covers.
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = new.sequence)
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_purged WHERE old.sequence BETWEEN first_sequence AND last_sequence)
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_purged_whole BEFORE INSERT ON audit_purged
WHEN new.first_sequence <> 1 + coalesce((SELECT max(last_sequence) FROM audit_purged), 0)
    OR NOT EXISTS (SELECT 1 FROM audit_checkpoint WHERE sequence = new.last_sequence)
BEGIN SELECT RAISE(ABORT, 'audit is purged in whole checkpointed segments'); END;
CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_purged_no_update BEFORE UPDATE ON audit_purged
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_purged_no_delete BEFORE DELETE ON audit_purged
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER actor_no_update BEFORE UPDATE ON actor
BEGIN SELECT RAISE(ABORT, 'actors are append-only'); END;
CREATE TRIGGER actor_no_delete BEFORE DELETE ON actor
BEGIN SELECT RAISE(ABORT, 'actors are append-only'); END;

-- An import that was interrupted goes on from here.
CREATE TABLE import (
    source  TEXT PRIMARY KEY,  -- SHA-256 of the file's first MiB and its length
    entries INTEGER NOT NULL,  -- lines or bundle entries committed
    done    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
