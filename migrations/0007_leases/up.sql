-- How long the leases of each server last, apart from its heartbeats. Whoever appends to the log reads the longest, while
-- all others wait: a row that is beaten leaves dead versions behind, and under a long snapshot they can only be walked.
CREATE TABLE leases (
    server uuid PRIMARY KEY REFERENCES servers (id) ON DELETE CASCADE,
    milliseconds integer NOT NULL CHECK (milliseconds >= 1)
);
INSERT INTO leases (server, milliseconds) SELECT id, lease_milliseconds FROM servers;
ALTER TABLE servers DROP COLUMN lease_milliseconds;
