//! `AuditService`: its permission, its parser, its work and its answer.

use tonic::{Request, Response, Status};

use super::Desk;
use super::answers::audit as answers;
use super::requests::audit as requests;
use crate::proto::v1;
use crate::proto::v1::audit_service_server::AuditService;
use crate::service::Permission;

/// Serves `AuditService`.
#[derive(Clone)]
pub struct AuditRpc(pub Desk);

#[tonic::async_trait]
impl AuditService for AuditRpc {
    async fn list_audit_events(
        &self,
        request: Request<v1::ListAuditEventsRequest>,
    ) -> Result<Response<v1::ListAuditEventsResponse>, Status> {
        self.0
            .answer(
                request,
                Permission::ReadAudit,
                requests::list_audit_events,
                |service, caller, words| async move {
                    Ok(answers::page(service.list_audit_events(&caller, words).await?))
                },
            )
            .await
    }
}
