-- The revision log: every change that can change the answer of an introspection, in commit order.

-- A writer takes a transaction-scoped advisory lock in a statement of its own, then appends max(revision) + 1, and holds
-- the lock until its commit is visible: the revisions are contiguous and in commit order. A sequence would be neither.
-- The last row is never deleted, since the next revision is counted from it.
--
-- No foreign keys: their checks would run while every other writer waits for the lock, and the log must be able to
-- outlive what it tells of.
CREATE TABLE revisions (
    revision bigint PRIMARY KEY CHECK (revision >= 1),
    event_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('revoked', 'secret_replaced', 'updated')),
    workspace text NOT NULL,
    token uuid NOT NULL,
    generation integer NOT NULL CHECK (generation >= 1),
    reason text,
    initiator text NOT NULL,
    CONSTRAINT revisions_reason_of_revoked CHECK ((kind = 'revoked') = (reason IS NOT NULL))
);

-- Names this history: whoever restores a backup gives it a new id, and every cursor of the old one is refused.
CREATE TABLE histories (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO histories DEFAULT VALUES;
