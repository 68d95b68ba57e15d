ALTER TABLE histories DROP COLUMN timeline, DROP COLUMN system_identifier, DROP COLUMN compacted;
ALTER TABLE revisions DROP COLUMN awaited;
DROP TABLE servers;
