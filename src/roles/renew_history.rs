//! `tokenkeep renew-history`: begins a new history of the log, by hand, and ends.

use std::io::{self, Write as _};

use super::RoleError;
use crate::revocation::{Head, HistoryId};
use crate::settings;
use crate::store::{DatabaseOptions, Store, StoreError, Transaction, log};

pub(super) fn run(settings: &settings::RenewHistory) -> Result<(), RoleError> {
    let store = Store::new(&DatabaseOptions::new(settings.database.url()?.secret().clone()))?;
    let (before, after) = super::runtime()?.block_on(async {
        store.migrate().await?;
        let mut transaction = store.begin().await?;
        let renewed = renew(&mut transaction).await;
        transaction.finish(renewed).await
    })?;
    let told = writeln!(
        io::stdout(),
        "The history {} has ended at revision {}; from there on it is {}. Whoever follows the log begins anew.",
        before.position.history.0,
        before.position.revision.0,
        after.0,
    );
    told.map_err(RoleError::Output)
}

async fn renew(transaction: &mut Transaction) -> Result<(Head, HistoryId), StoreError> {
    let before = log::head(transaction.connection()).await?;
    let after = log::renew_history(transaction, false).await?;
    Ok((before, after))
}
