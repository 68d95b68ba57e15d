//! What is timed: each operation once, on one side.

use std::time::Instant;

use tokenkeep::proto::v1;

use super::filled::Side;
use crate::measure::page::Outcome;
use crate::measure::served::WORKSPACE;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    /// Of a token that the server never met: a row and argon2.
    IntrospectCold,
    /// Of one that it knows.
    IntrospectHot,
    Get,
    Create,
    Regenerate,
    Revoke,
    List,
}

impl Operation {
    /// In the order in which they take turns.
    pub(crate) const ALL: [Self; 7] = [
        Self::IntrospectCold,
        Self::IntrospectHot,
        Self::Get,
        Self::Create,
        Self::Regenerate,
        Self::Revoke,
        Self::List,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::IntrospectCold => "introspect, the first time",
            Self::IntrospectHot => "introspect, again",
            Self::Get => "get",
            Self::Create => "create",
            Self::Regenerate => "regenerate",
            Self::Revoke => "revoke",
            Self::List => "list, the first page of 50",
        }
    }

    /// Does it once and gives the seconds that took.
    pub(crate) async fn time(self, side: &mut Side) -> Outcome<f64> {
        match self {
            Self::IntrospectCold => {
                let minted = side.unknown.pop().ok_or("every token was introspected")?;
                let time = introspect(side, &minted.secret).await?;
                side.known.push(minted);
                Ok(time)
            }
            Self::IntrospectHot => {
                let any = rand::random_range(0..side.known.len());
                let secret = side.known.get(any).ok_or("no token was introspected")?.secret.clone();
                introspect(side, &secret).await
            }
            Self::Get => {
                let request = v1::GetTokenRequest { id: any_id(side)? };
                timed(side.tokens.get_token(request)).await
            }
            Self::Create => timed(side.tokens.create_token(new_token())).await,
            Self::Regenerate => {
                let (id, etag) = (any_id(side)?, "*".to_owned());
                let request = v1::RegenerateTokenRequest { id, etag, ..Default::default() };
                timed(side.tokens.regenerate_token(request)).await
            }
            Self::Revoke => {
                let request = v1::RevokeTokenRequest { id: any_id(side)?, ..Default::default() };
                timed(side.tokens.revoke_token(request)).await
            }
            Self::List => {
                let request = v1::ListTokensRequest {
                    workspace: WORKSPACE.to_owned(),
                    page_size: 50,
                    ..Default::default()
                };
                timed(side.tokens.list_tokens(request)).await
            }
        }
    }
}

async fn introspect(side: &mut Side, secret: &str) -> Outcome<f64> {
    let request = v1::IntrospectTokenRequest { token: secret.to_owned(), ..Default::default() };
    let begun = Instant::now();
    let active = side.tokens.introspect_token(request).await?.into_inner().active;
    let time = begun.elapsed().as_secs_f64();
    if active { Ok(time) } else { Err("a live token was called inactive".into()) }
}

async fn timed<Answer>(call: impl Future<Output = Result<Answer, tonic::Status>>) -> Outcome<f64> {
    let begun = Instant::now();
    call.await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Each token once, so that all are alive until they are revoked.
fn any_id(side: &mut Side) -> Outcome<String> {
    Ok(side.ids.pop().ok_or("every token had its turn")?)
}

fn new_token() -> v1::CreateTokenRequest {
    v1::CreateTokenRequest {
        workspace: WORKSPACE.to_owned(),
        name: "one more".to_owned(),
        principal: "user-7".to_owned(),
        scopes: vec!["articles:read".to_owned()],
        ..Default::default()
    }
}
