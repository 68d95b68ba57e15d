//! The calls that concern principals and workspaces. Each change is signed with a mark, by which the log tells it again.

use std::net::SocketAddr;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::delete_principal_request::Tokens as Legacy;
use tokenkeep::proto::v1::principal_service_client::PrincipalServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::{Credential, HELD_SCOPE, NEEDED, VERSION_SCOPE, connection, failure, patiently, wait};
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

pub async fn create_principal(products: &mut Products, workspace: &str, id: &str) -> Answer {
    let principal = v1::Principal {
        workspace: workspace.to_owned(),
        id: id.to_owned(),
        kind: v1::PrincipalKind::ServiceAccount.into(),
        name: "checked".to_owned(),
        scopes: scopes(true, 0),
        ..Default::default()
    };
    let request = v1::CreatePrincipalRequest { principal: Some(principal), ..Default::default() };
    match patiently(products.principals.create_principal(request)).await {
        Ok(_) => Answer::Made,
        Err(status) => failure(&status),
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
    let mask = prost_types::FieldMask { paths: vec!["scopes".to_owned(), "disabled".to_owned()] };
    let request = v1::UpdatePrincipalRequest {
        principal: Some(principal),
        update_mask: Some(mask),
        initiator: mark.to_string(),
        wait: wait(fleet),
    };
    match patiently(products.principals.update_principal(request)).await {
        Ok(updated) => changed(updated.principal.unwrap().revision, updated.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

pub async fn invalidate(products: &mut Products, workspace: &str, mark: u32, fleet: bool) -> Answer {
    let request = v1::InvalidateWorkspaceTokensRequest {
        id: workspace.to_owned(),
        initiator: mark.to_string(),
        wait: wait(fleet),
        ..Default::default()
    };
    match patiently(products.workspaces.invalidate_workspace_tokens(request)).await {
        Ok(answer) => changed(answer.workspace.unwrap().revision, answer.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

fn changed(revision: i64, confirmed: bool) -> Answer {
    Answer::Changed { revision, generation: 0, confirmed }
}
