-- What a scope told of a resource before, if that was in it: who has read so far gets only what has changed since.
ALTER TABLE server_feed ADD COLUMN before_position INTEGER;
ALTER TABLE server_feed ADD COLUMN before_version INTEGER;
