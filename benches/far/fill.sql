INSERT INTO tokens (
    id, workspace, name, description, principal, principal_kind, creator, scopes, metadata, expire_time, create_time,
    update_time, generation, obfuscated_secret, kid, tag, secret_hash, secret_time, epoch
)
SELECT
    CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || '8' || substr(md5(n::text), 4, 15) AS uuid),
    'acme', 'token ' || n / 10 || '/' || n % 10, '', 'user-' || n % 1000, 'user', 'somebody', ARRAY['articles:read'],
    '{}', CASE WHEN n % 4 > 0 THEN at + interval '400 days' END, at, at, 1, 'tk_...abcd', '01', '\x0011223344556677',
    '$argon2id$v=19$m=64,t=1,p=1$abcdefghijklmnopqrstuv$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuv', at, 0
FROM (
    SELECT n, TIMESTAMPTZ 'NEWEST' - (COUNT - n) * interval '1 second' AS at FROM generate_series(FIRST, LAST) AS n
) AS numbered;
