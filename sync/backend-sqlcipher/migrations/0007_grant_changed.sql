-- Which change of a grant this one was, of all: whose grants have changed is asked after each commit.
ALTER TABLE server_grant ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX server_grant_changed ON server_grant (changed);
