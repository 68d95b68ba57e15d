//! `PrincipalService`: for each RPC its permission, its parser, its work and its answer.

use tonic::{Request, Response, Status};

use super::Desk;
use super::answers::principals as answers;
use super::desk::deadline;
use super::requests::principals as requests;
use crate::proto::v1;
use crate::proto::v1::principal_service_server::PrincipalService;
use crate::service::Permission;

/// Serves `PrincipalService`.
#[derive(Clone)]
pub struct PrincipalRpc(pub Desk);

type Answer<Message> = Result<Response<Message>, Status>;

#[tonic::async_trait]
impl PrincipalService for PrincipalRpc {
    async fn create_principal(
        &self,
        request: Request<v1::CreatePrincipalRequest>,
    ) -> Answer<v1::CreatePrincipalResponse> {
        self.0
            .change(
                request,
                Permission::CreatePrincipal,
                requests::create_principal,
                |service, caller, words| async move {
                    let requests::Creation { principal, token, initiator } = words;
                    let (principal, issued) =
                        service.create_principal(&caller, principal, token, initiator).await?;
                    Ok(answers::created(principal, issued))
                },
            )
            .await
    }

    async fn get_principal(
        &self,
        request: Request<v1::GetPrincipalRequest>,
    ) -> Answer<v1::GetPrincipalResponse> {
        self.0
            .answer(
                request,
                Permission::ReadPrincipals,
                requests::get_principal,
                |service, caller, (workspace, key)| async move {
                    let principal = service.get_principal(&caller, &workspace, &key).await?;
                    Ok(v1::GetPrincipalResponse { principal: Some(answers::principal(principal)) })
                },
            )
            .await
    }

    async fn list_principals(
        &self,
        request: Request<v1::ListPrincipalsRequest>,
    ) -> Answer<v1::ListPrincipalsResponse> {
        self.0
            .answer(
                request,
                Permission::ReadPrincipals,
                requests::list_principals,
                |service, caller, words| async move {
                    Ok(answers::page(service.list_principals(&caller, words).await?))
                },
            )
            .await
    }

    async fn update_principal(
        &self,
        request: Request<v1::UpdatePrincipalRequest>,
    ) -> Answer<v1::UpdatePrincipalResponse> {
        let deadline = deadline(&request);
        self.0
            .change(
                request,
                Permission::UpdatePrincipal,
                requests::update_principal,
                move |service, caller, change| async move {
                    let (principal, fleet_confirmed) =
                        service.update_principal(&caller, change, deadline).await?;
                    let principal = Some(answers::principal(principal));
                    Ok(v1::UpdatePrincipalResponse { principal, fleet_confirmed })
                },
            )
            .await
    }

    async fn delete_principal(
        &self,
        request: Request<v1::DeletePrincipalRequest>,
    ) -> Answer<v1::DeletePrincipalResponse> {
        let deadline = deadline(&request);
        self.0
            .change(
                request,
                Permission::DeletePrincipal,
                requests::delete_principal,
                move |service, caller, end| async move {
                    Ok(answers::deleted(&service.delete_principal(&caller, end, deadline).await?))
                },
            )
            .await
    }
}
