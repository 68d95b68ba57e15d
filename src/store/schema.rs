//! The tables as the migrations leave them; a test prints this from a migrated database and compares.

diesel::table! {
    audit_events (id) {
        id -> Uuid,
        event_time -> Timestamptz,
        action -> Text,
        workspace -> Nullable<Text>,
        caller -> Nullable<Uuid>,
        initiator -> Nullable<Text>,
        token -> Nullable<Uuid>,
        principal -> Nullable<Text>,
        refusal -> Nullable<Text>,
        peer_address -> Nullable<Text>,
        request_digest -> Nullable<Bytea>,
        trace_id -> Nullable<Text>,
        revision -> Int8,
        details -> Jsonb,
    }
}

diesel::table! {
    bulk_revocations (id) {
        id -> Int8,
        revision -> Nullable<Int8>,
    }
}

diesel::table! {
    histories (singleton) {
        singleton -> Bool,
        id -> Uuid,
        compacted -> Int8,
        system_identifier -> Nullable<Int8>,
        timeline -> Nullable<Text>,
    }
}

diesel::table! {
    issuance_buckets (workspace) {
        workspace -> Text,
        issues_left -> Double,
        fill_time -> Timestamptz,
    }
}

diesel::table! {
    leases (server) {
        server -> Uuid,
        milliseconds -> Int4,
    }
}

diesel::table! {
    previous_secrets (token) {
        token -> Uuid,
        generation -> Int4,
        kid -> Text,
        tag -> Bytea,
        secret_hash -> Text,
        epoch -> Int4,
        obfuscated_secret -> Text,
        expire_time -> Timestamptz,
    }
}

diesel::table! {
    principals (workspace, id) {
        workspace -> Text,
        id -> Text,
        kind -> Text,
        name -> Text,
        handle -> Nullable<Text>,
        external_id -> Nullable<Int8>,
        scopes -> Array<Text>,
        creator -> Text,
        disabled -> Bool,
        version -> Int4,
        revision -> Int8,
        create_time -> Timestamptz,
        update_time -> Timestamptz,
        delete_time -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    profiles (name) {
        name -> Text,
        version -> Int4,
        document -> Text,
        revision -> Int8,
        update_time -> Timestamptz,
    }
}

diesel::table! {
    replay_keys (day) {
        day -> Int4,
        fingerprint -> Text,
    }
}

diesel::table! {
    requests (digest) {
        digest -> Bytea,
        fingerprint -> Bytea,
        token -> Nullable<Uuid>,
        generation -> Nullable<Int4>,
        count -> Nullable<Int8>,
        revision -> Int8,
        replay_day -> Nullable<Int4>,
        sealed_secret -> Nullable<Bytea>,
        create_time -> Timestamptz,
    }
}

diesel::table! {
    revisions (revision) {
        revision -> Int8,
        event_time -> Timestamptz,
        kind -> Text,
        workspace -> Nullable<Text>,
        token -> Nullable<Uuid>,
        generation -> Nullable<Int4>,
        reason -> Nullable<Text>,
        initiator -> Text,
        awaited -> Bool,
        principal -> Nullable<Text>,
        profile -> Nullable<Text>,
        kid -> Nullable<Text>,
        tokens -> Nullable<Array<Uuid>>,
        overlap_end_time -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    server_keys (kid) {
        kid -> Text,
        fingerprint -> Text,
        state -> Text,
        create_time -> Timestamptz,
    }
}

diesel::table! {
    servers (id) {
        id -> Uuid,
        beat -> Int8,
        history -> Uuid,
        acknowledged -> Int8,
        start_time -> Timestamptz,
        kids -> Array<Text>,
    }
}

diesel::table! {
    token_last_uses (token) {
        token -> Uuid,
        last_use_time -> Nullable<Timestamptz>,
        use_count -> Int8,
        previous_generation -> Nullable<Int4>,
        previous_last_use_time -> Nullable<Timestamptz>,
        superseded_use_count -> Int8,
        superseded_use_time -> Nullable<Timestamptz>,
        workspace -> Nullable<Text>,
        use_month -> Timestamp,
    }
}

diesel::table! {
    token_marks (workspace, mark, token) {
        workspace -> Text,
        mark -> Text,
        token -> Uuid,
    }
}

diesel::table! {
    tokens (id) {
        id -> Uuid,
        workspace -> Text,
        name -> Text,
        description -> Text,
        principal -> Nullable<Text>,
        creator -> Text,
        scopes -> Array<Text>,
        metadata -> Jsonb,
        expire_time -> Nullable<Timestamptz>,
        create_time -> Timestamptz,
        update_time -> Timestamptz,
        revoke_time -> Nullable<Timestamptz>,
        revoke_reason -> Nullable<Text>,
        generation -> Int4,
        obfuscated_secret -> Text,
        revision -> Int8,
        kid -> Text,
        tag -> Bytea,
        secret_hash -> Text,
        #[sql_name = "type"]
        token_type -> Text,
        audiences -> Array<Text>,
        allowed_cidrs -> Array<Text>,
        epoch -> Int4,
        external_id -> Nullable<Int8>,
        secret_time -> Timestamptz,
        suspend_time -> Nullable<Timestamptz>,
        suspend_reason -> Nullable<Text>,
        principal_kind -> Nullable<Text>,
        bulk_revocation -> Nullable<Int8>,
        secret_month -> Timestamp,
    }
}

diesel::table! {
    usage_reports (reporter) {
        reporter -> Uuid,
        sequence -> Int8,
        report_time -> Timestamptz,
    }
}

diesel::table! {
    workspaces (id) {
        id -> Text,
        name -> Text,
        token_prefix -> Text,
        version -> Int4,
        create_time -> Timestamptz,
        update_time -> Timestamptz,
        profile -> Nullable<Text>,
        epoch -> Int4,
        last_external_id -> Int8,
        revision -> Int8,
        max_tokens -> Nullable<Int8>,
        max_tokens_per_principal -> Nullable<Int8>,
        max_lifetime -> Nullable<Interval>,
        max_issues_per_minute -> Nullable<Int4>,
        superseded_use -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    bulk_revocations,
    histories,
    previous_secrets,
    leases,
    principals,
    profiles,
    revisions,
    server_keys,
    servers,
    token_last_uses,
    token_marks,
    tokens,
    workspaces,
);
