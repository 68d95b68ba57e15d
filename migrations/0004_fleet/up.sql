-- The fleet: which servers there are, and what the log must tell them beyond its events.

-- A row for each life of a server, committed before its first heartbeat. It is beaten several times a second: the
-- columns that a heartbeat changes are in no index, and most of each page is free, so that a beat is a heap-only update
-- also while a long transaction keeps the dead versions from being cleared away.
CREATE TABLE servers (
    id uuid PRIMARY KEY,
    beat bigint NOT NULL DEFAULT 0 CHECK (beat >= 0),
    -- What it acknowledges is of this history, which need not be the present one.
    history uuid NOT NULL,
    acknowledged bigint NOT NULL DEFAULT 0 CHECK (acknowledged >= 0),
    lease_milliseconds integer NOT NULL CHECK (lease_milliseconds >= 1),
    start_time timestamptz NOT NULL DEFAULT statement_timestamp()
) WITH (fillfactor = 10);

-- Whether somebody waits until every server has applied the change.
ALTER TABLE revisions ADD COLUMN awaited boolean NOT NULL DEFAULT false;

-- Everything up to `compacted` was deleted. The system identifier and the timeline are those of the cluster in which
-- this history was last known to go on; a promoted standby or a restored backup differs in one of them.
ALTER TABLE histories
    ADD COLUMN compacted bigint NOT NULL DEFAULT 0 CHECK (compacted >= 0),
    ADD COLUMN system_identifier bigint,
    ADD COLUMN timeline text CHECK (timeline ~ '^[0-9A-F]{8}$'),
    ADD CONSTRAINT histories_recorded_whole CHECK ((system_identifier IS NULL) = (timeline IS NULL));
