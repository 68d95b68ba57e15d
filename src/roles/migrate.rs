//! `tokenkeep migrate`: brings the database to the schema of this version, and ends.

use super::RoleError;
use crate::settings;
use crate::store::{DatabaseOptions, Store};

pub(super) fn run(settings: &settings::Migrate) -> Result<(), RoleError> {
    let store = Store::new(&DatabaseOptions::new(settings.database.url()?.secret().clone()))?;
    let report = super::runtime()?.block_on(store.migrate())?;
    tracing::info!(applied = report.applied.len(), "the database is at this version's schema");
    Ok(())
}
