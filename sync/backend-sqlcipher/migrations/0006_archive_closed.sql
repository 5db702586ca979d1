-- How a losing edit was dealt with: what was decided, by which user, and when the server heard of it (ms since 1970).
ALTER TABLE server_archive ADD COLUMN decision TEXT;
ALTER TABLE server_archive ADD COLUMN closed_by TEXT;
ALTER TABLE server_archive ADD COLUMN closed_at INTEGER;
