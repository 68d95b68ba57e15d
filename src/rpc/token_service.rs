//! `TokenService`: for each RPC its permission, its parser, its work and its answer. `WatchRevocations` has a way of its own
//! in `watch`.

use tonic::{Request, Response, Status};

use super::answers::introspection as verdicts;
use super::desk::deadline;
use super::outcomes::told;
use super::requests::revocations;
use super::{Desk, answers, requests};
use crate::proto::v1;
use crate::proto::v1::token_service_server::TokenService;
use crate::service::{Page, Permission, TokenCount};
use crate::token::Token;

/// Serves `TokenService`.
#[derive(Clone)]
pub struct TokenRpc(pub Desk);

pub(super) type Answer<Message> = Result<Response<Message>, Status>;

#[tonic::async_trait]
impl TokenService for TokenRpc {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Answer<v1::CreateTokenResponse> {
        self.0
            .change(
                request,
                Permission::CreateToken,
                requests::create_token,
                |service, caller, words| async move {
                    Ok(answers::created(service.create_token(&caller, words).await?))
                },
            )
            .await
    }

    async fn get_token(&self, request: Request<v1::GetTokenRequest>) -> Answer<v1::GetTokenResponse> {
        self.0
            .answer(request, Permission::ReadTokens, requests::get_token, |service, caller, id| async move {
                let token = service.get_token(&caller, id).await?;
                Ok(v1::GetTokenResponse { token: Some(answers::token(token)) })
            })
            .await
    }

    async fn list_tokens(&self, request: Request<v1::ListTokensRequest>) -> Answer<v1::ListTokensResponse> {
        self.0
            .answer(
                request,
                Permission::ReadTokens,
                requests::list_tokens,
                |service, caller, words| async move { Ok(page(service.list_tokens(&caller, words).await?)) },
            )
            .await
    }

    async fn count_tokens(
        &self,
        request: Request<v1::CountTokensRequest>,
    ) -> Answer<v1::CountTokensResponse> {
        self.0
            .answer(
                request,
                Permission::ReadTokens,
                requests::count_tokens,
                |service, caller, words| async move {
                    let TokenCount { count, more } = service.count_tokens(&caller, words).await?;
                    Ok(v1::CountTokensResponse { count: i64::try_from(count).unwrap_or(i64::MAX), more })
                },
            )
            .await
    }

    async fn update_token(
        &self,
        request: Request<v1::UpdateTokenRequest>,
    ) -> Answer<v1::UpdateTokenResponse> {
        self.0
            .change(
                request,
                Permission::UpdateToken,
                requests::update_token,
                |service, caller, change| async move {
                    let token = service.update_token(&caller, change).await?;
                    Ok(v1::UpdateTokenResponse { token: Some(answers::token(token)) })
                },
            )
            .await
    }

    async fn regenerate_token(
        &self,
        request: Request<v1::RegenerateTokenRequest>,
    ) -> Answer<v1::RegenerateTokenResponse> {
        self.0
            .change(
                request,
                Permission::RegenerateToken,
                requests::regenerate_token,
                |service, caller, words| async move {
                    Ok(answers::regenerated(service.regenerate_token(&caller, words).await?))
                },
            )
            .await
    }

    async fn end_overlap(&self, request: Request<v1::EndOverlapRequest>) -> Answer<v1::EndOverlapResponse> {
        let deadline = deadline(&request);
        self.0
            .change(
                request,
                Permission::RegenerateToken,
                requests::end_overlap,
                move |service, caller, end| async move {
                    let (token, fleet_confirmed) = service.end_overlap(&caller, end, deadline).await?;
                    Ok(v1::EndOverlapResponse { token: Some(answers::token(token)), fleet_confirmed })
                },
            )
            .await
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Answer<v1::RevokeTokenResponse> {
        let deadline = deadline(&request);
        self.0
            .change(
                request,
                Permission::RevokeToken,
                requests::revoke_token,
                move |service, caller, revocation| async move {
                    let (token, fleet_confirmed) =
                        service.revoke_token(&caller, revocation, deadline).await?;
                    Ok(v1::RevokeTokenResponse { token: Some(answers::token(token)), fleet_confirmed })
                },
            )
            .await
    }

    async fn bulk_revoke_tokens(
        &self,
        request: Request<v1::BulkRevokeTokensRequest>,
    ) -> Answer<v1::BulkRevokeTokensResponse> {
        let deadline = deadline(&request);
        self.0
            .answer(
                request,
                Permission::RevokeToken,
                revocations::bulk_revoke_tokens,
                move |service, caller, bulk| async move {
                    Ok(answers::bulk_revoked(service.bulk_revoke(&caller, bulk, deadline).await?))
                },
            )
            .await
    }

    async fn revoke_secret(
        &self,
        request: Request<v1::RevokeSecretRequest>,
    ) -> Answer<v1::RevokeSecretResponse> {
        self.0
            .answer(
                request,
                Permission::RevokeSecret,
                revocations::revoke_secret,
                |service, caller, leaked| async move {
                    service.revoke_secrets(&caller, leaked).await?;
                    Ok(v1::RevokeSecretResponse {})
                },
            )
            .await
    }

    async fn suspend_token(
        &self,
        request: Request<v1::SuspendTokenRequest>,
    ) -> Answer<v1::SuspendTokenResponse> {
        let deadline = deadline(&request);
        self.0
            .change(
                request,
                Permission::SuspendToken,
                requests::suspend_token,
                move |service, caller, suspension| async move {
                    let (token, fleet_confirmed) =
                        service.suspend_token(&caller, suspension, deadline).await?;
                    Ok(v1::SuspendTokenResponse { token: Some(answers::token(token)), fleet_confirmed })
                },
            )
            .await
    }

    async fn resume_token(
        &self,
        request: Request<v1::ResumeTokenRequest>,
    ) -> Answer<v1::ResumeTokenResponse> {
        let deadline = deadline(&request);
        self.0
            .change(
                request,
                Permission::SuspendToken,
                requests::resume_token,
                move |service, caller, suspension| async move {
                    let (token, _) = service.suspend_token(&caller, suspension, deadline).await?;
                    Ok(v1::ResumeTokenResponse { token: Some(answers::token(token)) })
                },
            )
            .await
    }

    async fn wait_for_revision(
        &self,
        request: Request<v1::WaitForRevisionRequest>,
    ) -> Answer<v1::WaitForRevisionResponse> {
        let deadline = deadline(&request);
        self.0
            .answer(
                request,
                Permission::ReadTokens,
                requests::wait_for_revision,
                move |service, _, revision| async move {
                    let fleet_confirmed = service.wait_for_revision(revision, deadline).await?;
                    Ok(v1::WaitForRevisionResponse { fleet_confirmed })
                },
            )
            .await
    }

    async fn introspect_token(
        &self,
        request: Request<v1::IntrospectTokenRequest>,
    ) -> Answer<v1::IntrospectTokenResponse> {
        self.introspect(request, verdicts::verdict).await
    }

    async fn batch_introspect_tokens(
        &self,
        request: Request<v1::BatchIntrospectTokensRequest>,
    ) -> Answer<v1::BatchIntrospectTokensResponse> {
        self.introspect_all(request, |judged| verdicts::batch(told(judged))).await
    }
}

fn page(page: Page<Token>) -> v1::ListTokensResponse {
    let tokens = page.items.into_iter().map(answers::token).collect();
    v1::ListTokensResponse { tokens, next_page_token: page.next.unwrap_or_default() }
}
