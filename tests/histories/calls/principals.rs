//! The calls that concern principals and workspaces. Each change is signed with a mark, by which the log tells it again.

use std::net::SocketAddr;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::delete_principal_request::Tokens as Legacy;
use tokenkeep::proto::v1::principal_service_client::PrincipalServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::{
    Credential, HELD_SCOPE, NEEDED, VERSION_SCOPE, Wanted, connection, failure, issued, new_token, patiently,
    wait,
};
use crate::history::{Answer, Edit};

/// What only servers serve.
pub struct Products {
    principals: PrincipalServiceClient<InterceptedService<Channel, Credential>>,
    workspaces: WorkspaceServiceClient<InterceptedService<Channel, Credential>>,
}

impl Products {
    pub fn at(address: SocketAddr, secret: &str) -> Self {
        let connection = connection(address, Some(secret));
        Self {
            principals: PrincipalServiceClient::new(connection.clone()),
            workspaces: WorkspaceServiceClient::new(connection),
        }
    }
}

/// What a principal may do: all that its tokens can, or not; and the mark of who said so.
fn scopes(wide: bool, mark: u32) -> Vec<String> {
    let mut scopes = vec!["base".to_owned(), format!("{HELD_SCOPE}{mark}")];
    if wide {
        scopes.extend([NEEDED.to_owned(), format!("{VERSION_SCOPE}*")]);
    }
    scopes
}

/// What a principal is created as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Born {
    User,
    ServiceAccount,
    /// A service account that is born with a token.
    WithToken,
}

/// Gives what came of the principal, and of its token if it was to have one.
pub async fn create_principal(
    products: &mut Products,
    workspace: &str,
    id: &str,
    born: Born,
    group: &str,
) -> (Answer, Option<(Answer, Option<String>)>) {
    let kind = match born {
        Born::User => v1::PrincipalKind::User,
        Born::ServiceAccount | Born::WithToken => v1::PrincipalKind::ServiceAccount,
    };
    let principal = v1::Principal {
        workspace: workspace.to_owned(),
        id: id.to_owned(),
        kind: kind.into(),
        name: "checked".to_owned(),
        scopes: scopes(true, 0),
        ..Default::default()
    };
    let wanted = Wanted { workspace, group, principal: Some(id), lifetime: None };
    let token = (born == Born::WithToken).then(|| new_token(wanted));
    let request = v1::CreatePrincipalRequest { principal: Some(principal), token, ..Default::default() };
    match patiently(products.principals.create_principal(request)).await {
        Ok(created) => (Answer::Done, created.token.map(|token| issued(token, created.secret))),
        Err(status) => (failure(&status), None),
    }
}

pub async fn change_principal(
    products: &mut Products,
    workspace: &str,
    id: &str,
    (edit, mark): (&Edit, u32),
    fleet: bool,
) -> Answer {
    let legacy = match edit {
        Edit::Held { wide, disabled } => {
            return update(products, (workspace, id), (*wide, *disabled), mark, fleet).await;
        }
        Edit::Deleted => Legacy::RevokeReason(String::new()),
        Edit::HandedOver { to } => Legacy::HandOverTo(to.clone()),
    };
    let request = v1::DeletePrincipalRequest {
        workspace: workspace.to_owned(),
        id: id.to_owned(),
        tokens: Some(legacy),
        initiator: mark.to_string(),
        wait: wait(fleet),
        ..Default::default()
    };
    match patiently(products.principals.delete_principal(request)).await {
        Ok(deleted) => changed(deleted.revision, deleted.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

async fn update(
    products: &mut Products,
    (workspace, id): (&str, &str),
    (wide, disabled): (bool, bool),
    mark: u32,
    fleet: bool,
) -> Answer {
    let principal = v1::Principal {
        workspace: workspace.to_owned(),
        id: id.to_owned(),
        scopes: scopes(wide, mark),
        disabled,
        ..Default::default()
    };
    let fields = prost_types::FieldMask { paths: vec!["scopes".to_owned(), "disabled".to_owned()] };
    let request = v1::UpdatePrincipalRequest {
        principal: Some(principal),
        update_mask: Some(fields),
        initiator: mark.to_string(),
        wait: wait(fleet),
        ..Default::default()
    };
    match patiently(products.principals.update_principal(request)).await {
        Ok(updated) => changed(updated.principal.unwrap().revision, updated.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

pub async fn invalidate(
    products: &mut Products,
    workspace: &str,
    mark: u32,
    dry: bool,
    fleet: bool,
) -> Answer {
    let request = v1::InvalidateWorkspaceTokensRequest {
        id: workspace.to_owned(),
        dry_run: dry,
        initiator: mark.to_string(),
        wait: wait(fleet),
        ..Default::default()
    };
    match patiently(products.workspaces.invalidate_workspace_tokens(request)).await {
        Ok(_) if dry => Answer::Done,
        Ok(answer) => changed(answer.workspace.unwrap().revision, answer.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

fn changed(revision: i64, confirmed: bool) -> Answer {
    Answer::Changed { revision, generation: 0, confirmed }
}
