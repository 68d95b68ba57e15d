//! `WorkspaceService`: for each RPC its permission, its parser, its work and its answer.

use tonic::{Request, Response, Status};

use super::desk::deadline;
use super::requests::workspaces as requests;
use super::{Desk, answers};
use crate::proto::v1;
use crate::proto::v1::workspace_service_server::WorkspaceService;
use crate::service::{Invalidated, Permission};

/// Serves `WorkspaceService`.
#[derive(Clone)]
pub struct WorkspaceRpc(pub Desk);

type Answer<Message> = Result<Response<Message>, Status>;

#[tonic::async_trait]
impl WorkspaceService for WorkspaceRpc {
    async fn create_workspace(
        &self,
        request: Request<v1::CreateWorkspaceRequest>,
    ) -> Answer<v1::CreateWorkspaceResponse> {
        self.0
            .change(
                request,
                Permission::CreateWorkspace,
                requests::create_workspace,
                |service, caller, new| async move {
                    let workspace = service.create_workspace(&caller, new).await?;
                    Ok(v1::CreateWorkspaceResponse { workspace: Some(answers::workspace(workspace)) })
                },
            )
            .await
    }

    async fn get_workspace(
        &self,
        request: Request<v1::GetWorkspaceRequest>,
    ) -> Answer<v1::GetWorkspaceResponse> {
        self.0
            .answer(
                request,
                Permission::ReadWorkspaces,
                requests::get_workspace,
                |service, caller, id| async move {
                    let workspace = service.get_workspace(&caller, id).await?;
                    Ok(v1::GetWorkspaceResponse { workspace: Some(answers::workspace(workspace)) })
                },
            )
            .await
    }

    async fn list_workspaces(
        &self,
        request: Request<v1::ListWorkspacesRequest>,
    ) -> Answer<v1::ListWorkspacesResponse> {
        self.0
            .answer(
                request,
                Permission::ReadWorkspaces,
                requests::list_workspaces,
                |service, caller, words| async move {
                    let page = service.list_workspaces(&caller, words).await?;
                    let workspaces = page.items.into_iter().map(answers::workspace).collect();
                    Ok(v1::ListWorkspacesResponse {
                        workspaces,
                        next_page_token: page.next.unwrap_or_default(),
                    })
                },
            )
            .await
    }

    async fn update_workspace(
        &self,
        request: Request<v1::UpdateWorkspaceRequest>,
    ) -> Answer<v1::UpdateWorkspaceResponse> {
        self.0
            .change(
                request,
                Permission::UpdateWorkspace,
                requests::update_workspace,
                |service, caller, edit| async move {
                    let workspace = service.update_workspace(&caller, edit).await?;
                    Ok(v1::UpdateWorkspaceResponse { workspace: Some(answers::workspace(workspace)) })
                },
            )
            .await
    }
    async fn get_workspace_profile(
        &self,
        request: Request<v1::GetWorkspaceProfileRequest>,
    ) -> Answer<v1::GetWorkspaceProfileResponse> {
        self.0
            .answer(
                request,
                Permission::ReadWorkspaces,
                requests::get_workspace_profile,
                |service, caller, id| async move {
                    let profile = service.workspace_profile(&caller, id).await?;
                    Ok(v1::GetWorkspaceProfileResponse {
                        profile: Some(answers::profiles::profile(&profile)),
                    })
                },
            )
            .await
    }

    async fn invalidate_workspace_tokens(
        &self,
        request: Request<v1::InvalidateWorkspaceTokensRequest>,
    ) -> Answer<v1::InvalidateWorkspaceTokensResponse> {
        let deadline = deadline(&request);
        self.0
            .change(
                request,
                Permission::InvalidateWorkspace,
                requests::invalidate_workspace,
                move |service, caller, invalidation| async move {
                    let invalidated = service.invalidate_workspace(&caller, invalidation, deadline).await?;
                    let Invalidated { workspace, token_count, everywhere } = invalidated;
                    let workspace = Some(answers::workspace(workspace));
                    let fleet_confirmed = everywhere;
                    Ok(v1::InvalidateWorkspaceTokensResponse { token_count, workspace, fleet_confirmed })
                },
            )
            .await
    }
}
