ALTER TABLE servers ADD COLUMN lease_milliseconds integer CHECK (lease_milliseconds >= 1);
UPDATE servers SET lease_milliseconds = milliseconds FROM leases WHERE leases.server = servers.id;
ALTER TABLE servers ALTER COLUMN lease_milliseconds SET NOT NULL;
DROP TABLE leases;
