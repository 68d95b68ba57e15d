//! A sample of each setting.

/// For each setting a role that has it, three values of different meaning, and how to see which was taken.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) role: &'static [&'static str],
    pub(super) values: [&'static str; 3],
}

pub(super) const SERVE: &[&str] = &["serve"];
const DEV: &[&str] = &["dev"];
const SIDECAR: &[&str] = &["sidecar"];
const TOKEN: &[&str] = &["token", "resume", "id"];

#[rustfmt::skip]
pub(super) const SAMPLES: &[Sample] = &[
    Sample { name: "log", role: SERVE, values: ["error", "warn", "debug"] },
    Sample { name: "log-format", role: SERVE, values: ["text", "json", "auto"] },
    Sample { name: "listen", role: SERVE, values: ["127.0.0.1:1", "127.0.0.1:2", "unix:/3"] },
    Sample { name: "insecure-plaintext", role: SERVE, values: ["true", "true", "true"] },
    Sample { name: "tls-certificate", role: SERVE, values: ["/1", "/2", "/3"] },
    Sample { name: "tls-key", role: SERVE, values: ["/1", "/2", "/3"] },
    Sample { name: "tls-client-ca", role: SERVE, values: ["/1", "/2", "/3"] },
    Sample { name: "operations-listen", role: SERVE, values: ["127.0.0.1:1", "127.0.0.1:2", "none"] },
    Sample { name: "edge-listen", role: SERVE, values: ["127.0.0.1:1", "127.0.0.1:2", "unix:/3"] },
    Sample { name: "edge-address-header", role: SERVE, values: ["a", "b", "c"] },
    Sample { name: "reflection", role: SERVE, values: ["false", "true", "false"] },
    Sample { name: "threads", role: SERVE, values: ["1", "2", "cores"] },
    Sample { name: "request-timeout", role: SERVE, values: ["1s", "2m", "3ms"] },
    Sample { name: "max-requests-in-flight", role: SERVE, values: ["1", "2", "3"] },
    Sample { name: "drain-timeout", role: SERVE, values: ["1s", "2m", "3ms"] },
    Sample { name: "last-use-interval", role: SERVE, values: ["1s", "2m", "3ms"] },
    Sample { name: "argon2-cost", role: SERVE, values: ["owasp", "default", "owasp"] },
    Sample { name: "argon2-width", role: SERVE, values: ["1", "2", "cores"] },
    Sample { name: "database-connections", role: SERVE, values: ["1", "2", "3"] },
    Sample { name: "database-url", role: SERVE, values: ["postgres://a/b", "postgres://c/d", "postgres://e/f"] },
    Sample { name: "database-url-file", role: SERVE, values: ["/1", "/2", "/3"] },
    Sample { name: "direct-database-url", role: SERVE, values: ["postgres://a/b", "postgres://c/d", "postgres://e/f"] },
    Sample { name: "direct-database-url-file", role: SERVE, values: ["/1", "/2", "/3"] },
    Sample { name: "lease", role: SERVE, values: ["1s", "1m", "2500ms"] },
    Sample { name: "doorbell", role: SERVE, values: ["false", "true", "false"] },
    Sample { name: "revision-retention", role: SERVE, values: ["1m", "30d", "24h"] },
    Sample { name: "request-window", role: SERVE, values: ["1m", "2h", "24h"] },
    Sample { name: "audit-retention", role: SERVE, values: ["1m", "30d", "24h"] },
    Sample { name: "profiles", role: SERVE, values: ["/1", "/2", "/3"] },
    Sample { name: "keyring", role: SERVE, values: ["/1", "/2", "/3"] },
    Sample { name: "data-dir", role: DEV, values: ["/1", "/2", "/3"] },
    Sample { name: "postgres-bin-dir", role: DEV, values: ["/1", "/2", "/3"] },
    Sample { name: "no-fetch", role: DEV, values: ["true", "true", "true"] },
    Sample { name: "socket-mode", role: SIDECAR, values: ["0660", "0666", "0640"] },
    Sample { name: "upstream", role: SIDECAR, values: ["https://a:1", "https://b:1", "unix:/c"] },
    Sample { name: "credential-file", role: SIDECAR, values: ["/1", "/2", "/3"] },
    Sample { name: "upstream-ca", role: SIDECAR, values: ["/1", "/2", "/3"] },
    Sample { name: "upstream-server-name", role: SIDECAR, values: ["a", "b", "c"] },
    Sample { name: "upstream-client-certificate", role: SIDECAR, values: ["/1", "/2", "/3"] },
    Sample { name: "upstream-client-key", role: SIDECAR, values: ["/1", "/2", "/3"] },
    Sample { name: "cache-entries", role: SIDECAR, values: ["1", "2", "3"] },
    Sample { name: "workspace", role: SIDECAR, values: ["a", "b", "c"] },
    Sample { name: "output", role: TOKEN, values: ["json", "table", "auto"] },
    Sample { name: "server", role: TOKEN, values: ["https://a:1", "https://b:1", "unix:/c"] },
    Sample { name: "credential", role: TOKEN, values: ["a", "b", "c"] },
    Sample { name: "server-ca", role: TOKEN, values: ["/1", "/2", "/3"] },
    Sample { name: "server-name", role: TOKEN, values: ["a", "b", "c"] },
    Sample { name: "client-certificate", role: TOKEN, values: ["/1", "/2", "/3"] },
    Sample { name: "client-key", role: TOKEN, values: ["/1", "/2", "/3"] },
    Sample { name: "initiator", role: TOKEN, values: ["a", "b", "c"] },
];
