-- The server keys that are in use, by name and fingerprint. The keys themselves are files, never rows.
CREATE TABLE server_keys (
    kid text COLLATE "C" PRIMARY KEY CHECK (kid ~ '^[0-9A-Za-z]{2}$'),
    fingerprint text NOT NULL UNIQUE CHECK (fingerprint ~ '^[0-9a-f]{32}$'),
    state text NOT NULL CHECK (state IN ('minting', 'live')),
    create_time timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- At most one key issues new tokens.
CREATE UNIQUE INDEX server_keys_one_minting ON server_keys (state) WHERE state = 'minting';
