DROP TABLE audit_events;
DELETE FROM revisions WHERE kind IN ('bulk_revoked', 'suspended', 'resumed');
ALTER TABLE revisions
    DROP CONSTRAINT revisions_reason_of_end,
    DROP CONSTRAINT revisions_overlap_of_replaced,
    DROP CONSTRAINT revisions_subject_of_kind,
    DROP COLUMN overlap_end_time,
    DROP COLUMN tokens,
    ADD CONSTRAINT revisions_subject_of_kind CHECK (
        CASE
            WHEN kind IN ('revoked', 'secret_replaced', 'updated')
                THEN num_nulls(workspace, token, generation) = 0 AND num_nonnulls(principal, profile, kid) = 0
            WHEN kind = 'principal_changed'
                THEN num_nulls(workspace, principal) = 0 AND num_nonnulls(token, generation, profile, kid) = 0
            WHEN kind IN ('workspace_invalidated', 'workspace_updated')
                THEN workspace IS NOT NULL AND num_nonnulls(token, generation, principal, profile, kid) = 0
            WHEN kind = 'profile_updated'
                THEN profile IS NOT NULL AND num_nonnulls(workspace, token, generation, principal, kid) = 0
            WHEN kind = 'key_retired'
                THEN kid IS NOT NULL AND num_nonnulls(workspace, token, generation, principal, profile) = 0
            ELSE false
        END
    ),
    ADD CONSTRAINT revisions_reason_of_end CHECK ((kind IN ('revoked', 'workspace_invalidated')) = (reason IS NOT NULL));
DROP TABLE replay_keys;
DROP TABLE requests;
DROP TABLE issuance_buckets;
ALTER TABLE workspaces
    DROP COLUMN superseded_use,
    DROP COLUMN max_issues_per_minute,
    DROP COLUMN max_lifetime,
    DROP COLUMN max_tokens_per_principal,
    DROP COLUMN max_tokens;
DROP TABLE usage_reports;
DROP TRIGGER tokens_marked ON tokens;
DROP TRIGGER tokens_new ON tokens;
DROP FUNCTION mark_token;
DROP FUNCTION mark_new_token;
DROP TABLE token_marks;
DELETE FROM token_last_uses WHERE last_use_time IS NULL;
ALTER TABLE token_last_uses
    DROP COLUMN use_month,
    DROP COLUMN workspace,
    DROP COLUMN superseded_use_time,
    DROP COLUMN superseded_use_count,
    DROP COLUMN previous_last_use_time,
    DROP COLUMN previous_generation,
    DROP COLUMN use_count,
    ALTER COLUMN last_use_time SET NOT NULL;
DROP INDEX tokens_by_strayed_id;
DROP INDEX tokens_by_secret_validity;
DROP INDEX tokens_by_secret_month;
ALTER TABLE tokens DROP COLUMN secret_month;
DROP INDEX tokens_by_expiry_month;
DROP INDEX tokens_by_expiry_day;
DROP INDEX tokens_by_expiry_hour;
DROP INDEX tokens_by_type;
DROP INDEX tokens_by_creator;
DROP FUNCTION seconds_from_id;
DROP FUNCTION month_of;
DROP FUNCTION day_of;
DROP FUNCTION hour_of;
CREATE INDEX tokens_by_expiry ON tokens (workspace, expire_time) WHERE expire_time IS NOT NULL;
CREATE INDEX tokens_by_scope ON tokens USING gin (scopes) WITH (fastupdate = off);
DROP TABLE previous_secrets;
UPDATE tokens SET revision = bulk_revocations.revision FROM bulk_revocations WHERE bulk_revocations.id = bulk_revocation;
DROP TABLE bulk_revocations;
ALTER TABLE tokens
    DROP CONSTRAINT tokens_principal_whole,
    DROP CONSTRAINT tokens_suspended_whole,
    DROP CONSTRAINT tokens_bulk_revoked_whole,
    DROP COLUMN bulk_revocation,
    DROP COLUMN principal_kind,
    DROP COLUMN suspend_reason,
    DROP COLUMN suspend_time;
