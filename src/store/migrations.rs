//! The migrations, embedded, and run by one server at a time.

use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use std::time::Duration;

use super::error::StoreError;
use super::pool::Session;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The advisory lock of whoever migrates: the ASCII letters `tkmigrat`. The lock of the revision log is another.
const LOCK: i64 = i64::from_be_bytes(*b"tkmigrat");

/// What a migration run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// The versions that were applied, in order; empty if the schema was up to date.
    pub applied: Vec<String>,
}

/// Diesel does not keep servers that start together from migrating together, so a lock of the session does, taken on
/// the very connection that migrates. It ends with the session, whatever happens.
pub(super) async fn run(mut session: Session, patience: Duration) -> Result<MigrationReport, StoreError> {
    let lock = format!(
        "SET statement_timeout = 0; SET lock_timeout = {}; SELECT pg_advisory_lock({LOCK})",
        patience.as_millis()
    );
    session.connection.batch_execute(&lock).await.map_err(StoreError::from_diesel)?;
    // Diesel's harness blocks its thread.
    let migrated = tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(session.connection);
        let applied = harness.run_pending_migrations(MIGRATIONS);
        applied.map(|versions| versions.iter().map(ToString::to_string).collect())
    });
    let applied = migrated.await.map_err(StoreError::unavailable)?;
    applied
        .map(|applied| MigrationReport { applied })
        .map_err(|error| StoreError::Migration { source: error.into() })
}
