-- The number of the newest pin set that a device is known to have; 0 is that of its invitation.
ALTER TABLE server_device ADD COLUMN pins INTEGER NOT NULL DEFAULT 0;
