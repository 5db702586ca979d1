-- Attachments on their way: their bytes are the content, not base64 text of it. What is here as a whole, the store has.
DELETE FROM sync_blob_part;
DELETE FROM sync_blob;
ALTER TABLE sync_blob ADD COLUMN is_wanted INTEGER NOT NULL DEFAULT 0;  -- somebody asked for it
