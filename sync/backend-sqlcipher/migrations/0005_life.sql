-- Which life of the store the epoch is of: after a restore, or when an older state was adopted, it is another one.
ALTER TABLE server_state ADD COLUMN life BLOB;
