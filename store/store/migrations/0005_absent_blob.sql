-- A body that came by sync may refer to content that has not come yet: then there is no file of this name.
ALTER TABLE blob ADD COLUMN is_absent INTEGER NOT NULL DEFAULT 0;
