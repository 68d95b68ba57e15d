INSERT INTO principals (workspace, id, kind, name, scopes, creator)
    SELECT 'acme', 'user-' || n, CASE WHEN n % 100 = 7 THEN 'service_account' ELSE 'user' END, 'somebody', ARRAY['*'], 'bench'
    FROM generate_series(0, 9999) AS n;
UPDATE workspaces SET epoch = 1 WHERE id = 'acme';
INSERT INTO tokens (
    id, workspace, name, description, principal, principal_kind, creator, scopes, metadata, expire_time, create_time,
    update_time, generation, obfuscated_secret, kid, tag, secret_hash, type, secret_time, epoch,
    revoke_time, revoke_reason
)
SELECT
    CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || '8' || substr(md5(n::text), 4, 15) AS uuid),
    'acme', CASE WHEN n < 20000 AND n >= 1000 THEN 'ancient ' ELSE 'token ' END || n / 10 || '/' || n % 10,
    'A token among many', 'user-' || n % 10000, CASE WHEN n % 100 = 7 THEN 'service_account' ELSE 'user' END,
    CASE WHEN n < 10 THEN 'mia' ELSE 'machine' END,
    CASE WHEN n < 10 THEN ARRAY['articles:read', 'rare:read'] ELSE ARRAY['articles:read', 'projects:' || n / 10 || ':read'] END,
    '{}', CASE WHEN n % 4 > 0 THEN at + COUNT * interval '10 seconds' - interval '6 hours' END, at, at, 1, 'tk_...abcd', '00',
    '\x0011223344556677', '$argon2id$v=19$m=64,t=1,p=1$abcdefghijklmnopqrstuv$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuv',
    CASE WHEN n < 10 THEN 'read_only' ELSE 'custom' END,
    CASE WHEN n < 10 THEN at ELSE greatest(at, now() - interval '80 days') END, CASE WHEN n BETWEEN 10 AND 19 THEN 0 ELSE 1 END,
    CASE WHEN n BETWEEN 20 AND 29 THEN now() END, CASE WHEN n BETWEEN 20 AND 29 THEN '' END
FROM (SELECT n, now() - (COUNT - n) * interval '10 seconds' AS at FROM generate_series(0, COUNT - 1) AS n) AS numbered;
INSERT INTO token_marks
    SELECT workspace, 'revoked', id FROM tokens WHERE revoke_time IS NOT NULL;
UPDATE tokens SET suspend_time = now(), suspend_reason = '', expire_time = NULL
    WHERE id IN (SELECT id FROM tokens WHERE workspace = 'acme' ORDER BY id OFFSET 30 LIMIT 10);
UPDATE tokens SET expire_time = NULL
    WHERE id IN (SELECT id FROM tokens WHERE workspace = 'acme' ORDER BY id OFFSET 10 LIMIT 10);
UPDATE token_last_uses
    SET last_use_time = now() - (get_byte(uuid_send(token), 15) % 100) * interval '15 minutes'
    WHERE workspace = 'acme' AND token IN (SELECT id FROM tokens WHERE workspace = 'acme' ORDER BY id OFFSET 10);
UPDATE token_last_uses SET last_use_time = now() - interval '60 days'
    WHERE token IN (SELECT id FROM tokens WHERE workspace = 'acme' ORDER BY id OFFSET 40 LIMIT 10);
UPDATE token_last_uses SET superseded_use_count = 1, superseded_use_time = now()
    WHERE token IN (SELECT id FROM tokens WHERE workspace = 'acme' ORDER BY id LIMIT 10);
VACUUM ANALYZE;
