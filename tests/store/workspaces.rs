//! Workspaces are kept, counted and paged.

use tokenkeep::store::workspaces;
use tokenkeep::token::Precondition;
use tokenkeep::workspace::{NewWorkspace, SupersededUse, WorkspaceEdit, WorkspaceId};

use crate::harness::Database;
use crate::samples::{name, new_workspace, prefix, workspace};

#[tokio::test]
async fn the_workspace_of_tokenkeep_itself_is_there_from_the_beginning() {
    let database = Database::new().await;
    let mut connection = database.store().connection().await.unwrap();
    let found = workspaces::find(&mut connection, &workspace(WorkspaceId::SYSTEM)).await.unwrap().unwrap();
    assert_eq!((found.token_prefix.as_str(), found.version), ("tk", 1));
}

#[tokio::test]
async fn an_id_that_is_taken_is_told_without_failing_the_transaction() {
    let database = Database::new().await;
    let mut transaction = database.store().begin().await.unwrap();
    let new = NewWorkspace { token_prefix: prefix("sk_live"), ..new_workspace("acme") };
    let connection = transaction.connection();
    let first = workspaces::insert(connection, &new).await.unwrap();
    assert_eq!(first.unwrap().token_prefix, new.token_prefix);
    let second = workspaces::insert(connection, &new).await;
    assert_eq!(transaction.finish(second).await.unwrap(), None);
    let mut connection = database.store().connection().await.unwrap();
    assert!(workspaces::find(&mut connection, &new.id).await.unwrap().is_some());
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_counts_the_version() {
    let database = Database::new().await;
    let mut transaction = database.store().begin().await.unwrap();
    let id = workspace(WorkspaceId::SYSTEM);
    let before = workspaces::lock(transaction.connection(), &id).await.unwrap().unwrap();
    let precondition = Precondition::Any;
    let (token_prefix, profile, superseded_use) = (None, None, Some(SupersededUse::Revoke));
    let (name, limits) = (Some(name("ours")), None);
    let edit = WorkspaceEdit { id, precondition, name, token_prefix, profile, superseded_use, limits };
    let edited = workspaces::update(transaction.connection(), edit, None).await;
    let after = transaction.finish(edited).await.unwrap();
    assert_eq!((after.name.as_str(), after.token_prefix), ("ours", before.token_prefix));
    assert_eq!((before.superseded_use, after.superseded_use), (SupersededUse::Count, SupersededUse::Revoke));
    assert_eq!((after.version, after.create_time), (2, before.create_time));
    assert!(after.update_time > before.update_time);
}

#[tokio::test]
async fn pages_go_by_id_byte_by_byte() {
    let database = Database::new().await;
    let mut connection = database.store().connection().await.unwrap();
    for id in ["a-b", "ab", "a1", "z"] {
        workspaces::insert(&mut connection, &new_workspace(id)).await.unwrap();
    }
    let page = workspaces::list(&mut connection, None, 3).await.unwrap();
    assert_eq!(page.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["a-b", "a1", "ab"]);
    let rest = workspaces::list(&mut connection, Some(&page[2].id), 9).await.unwrap();
    assert_eq!(rest.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["tokenkeep", "z"]);
}
