-- Attachments are the store's own once a resource refers to them; here is only what was uploaded and waits for that.
-- Hashes of bodies are those of their form with attachments apart, and so are always known.
DROP TABLE server_unhashed;
DROP TABLE server_blob;
DELETE FROM server_chunk;
DELETE FROM server_upload;
CREATE TABLE server_blob (
    device  TEXT NOT NULL,                -- who has shown to have it
    hash    BLOB NOT NULL,
    size    INTEGER NOT NULL,
    upload  INTEGER,                      -- its chunks; NULL: the store has it
    at      INTEGER NOT NULL,
    is_kept INTEGER NOT NULL DEFAULT 0,   -- a record of the archive refers to it
    PRIMARY KEY (device, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX server_blob_hash ON server_blob (hash);
