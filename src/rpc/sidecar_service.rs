//! `SidecarService`: for each RPC its permission, its parser, its work and its answer.

use std::ops::ControlFlow::Break;

use tonic::{Request, Response, Status};

use super::Desk;
use super::answers::sidecars as answers;
use super::requests::sidecars as requests;
use crate::proto::v1;
use crate::proto::v1::sidecar_service_server::SidecarService;
use crate::service::{Acknowledgement, Caller, Permission, Service};

/// Serves `SidecarService`.
#[derive(Clone)]
pub struct SidecarRpc {
    desk: Desk,
    leases: Desk,
}

impl SidecarRpc {
    /// Serves leases at `leases`, which should have places of its own, and all else at `desk`.
    #[must_use]
    pub const fn new(desk: Desk, leases: Desk) -> Self {
        Self { desk, leases }
    }
}

type Answer<Message> = Result<Response<Message>, Status>;

#[tonic::async_trait]
impl SidecarService for SidecarRpc {
    async fn renew_lease(&self, request: Request<v1::RenewLeaseRequest>) -> Answer<v1::RenewLeaseResponse> {
        self.leases
            .answer(
                request,
                Permission::Sidecar,
                requests::renew_lease,
                |service, caller, renewal| async move {
                    Ok(answers::granted(service.renew_lease(&caller, renewal).await?))
                },
            )
            .await
    }

    async fn acknowledge_revision(
        &self,
        request: Request<v1::AcknowledgeRevisionRequest>,
    ) -> Answer<v1::AcknowledgeRevisionResponse> {
        let acknowledge = |service: &Service, caller: &Caller, words: &Acknowledgement| {
            service.acknowledge(caller, words).map(|()| v1::AcknowledgeRevisionResponse {})
        };
        self.leases
            .answer_at_hand(
                request,
                Permission::Sidecar,
                requests::acknowledge_revision,
                move |service, caller, words| Break(acknowledge(service, caller, &words)),
                move |service, caller, words| async move { acknowledge(&service, &caller, &words) },
            )
            .await
    }

    async fn resolve_tokens(
        &self,
        request: Request<v1::ResolveTokensRequest>,
    ) -> Answer<v1::ResolveTokensResponse> {
        self.desk
            .answer(
                request,
                Permission::Sidecar,
                requests::resolve_tokens,
                |service, caller, inquiry| async move {
                    let resolved = service.resolve_tokens(&caller, &inquiry).await?;
                    Ok(v1::ResolveTokensResponse { resolutions: answers::resolutions(resolved) })
                },
            )
            .await
    }

    async fn revalidate_tokens(
        &self,
        request: Request<v1::RevalidateTokensRequest>,
    ) -> Answer<v1::RevalidateTokensResponse> {
        self.desk
            .answer(
                request,
                Permission::Sidecar,
                requests::revalidate_tokens,
                |service, caller, inquiry| async move {
                    let resolved = service.revalidate_tokens(&caller, &inquiry).await?;
                    Ok(v1::RevalidateTokensResponse { resolutions: answers::resolutions(resolved) })
                },
            )
            .await
    }

    async fn get_profiles(
        &self,
        request: Request<v1::GetProfilesRequest>,
    ) -> Answer<v1::GetProfilesResponse> {
        self.desk
            .answer(
                request,
                Permission::Sidecar,
                requests::get_profiles,
                |service, _, (history, revision)| async move {
                    let documents = service.profile_documents(history, revision).await?;
                    Ok(v1::GetProfilesResponse { documents })
                },
            )
            .await
    }

    async fn report_usage(
        &self,
        request: Request<v1::ReportUsageRequest>,
    ) -> Answer<v1::ReportUsageResponse> {
        self.desk
            .answer(
                request,
                Permission::Sidecar,
                requests::report_usage,
                |service, caller, report| async move {
                    service.report_usage(&caller, &report).await?;
                    Ok(v1::ReportUsageResponse {})
                },
            )
            .await
    }
}
