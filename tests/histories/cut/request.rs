//! The requests: each writes the mark of its mutation wherever there is room for it.

use std::time::Duration;

use tokenkeep::proto::v1;
use tonic::{Request, Status};

use super::whole::{Kind, mark};
use crate::calls;
use crate::client::WORKSPACES;

/// What is asked for.
pub struct Asked {
    pub number: usize,
    pub kind: Kind,
    /// The token to change; none to make one.
    pub token: Option<String>,
}

/// What is told of a mutation that is made.
pub struct Answered {
    pub token: String,
    pub revision: i64,
    pub generation: i32,
    /// The token's new secret, if it was given one.
    pub secret: Option<String>,
}

impl Asked {
    /// Asks a server, which is given so much time if any is named.
    pub async fn of(&self, mut client: calls::Tokens, within: Option<Duration>) -> Result<Answered, Status> {
        let (token, secret) = match self.kind {
            Kind::Create => {
                let answer = calls::patiently(client.create_token(timed(self.creation(), within))).await?;
                (answer.token, Some(answer.secret))
            }
            Kind::Update => {
                let answer = calls::patiently(client.update_token(timed(self.edit(), within))).await?;
                (answer.token, None)
            }
            Kind::Regenerate => {
                let request = timed(self.regeneration(), within);
                let answer = calls::patiently(client.regenerate_token(request)).await?;
                (answer.token, Some(answer.secret))
            }
            Kind::Revoke => {
                let request = timed(self.revocation(), within);
                (calls::patiently(client.revoke_token(request)).await?.token, None)
            }
        };
        let v1::Token { id, revision, generation, .. } = token.unwrap();
        Ok(Answered { token: id, revision, generation, secret })
    }

    fn creation(&self) -> v1::CreateTokenRequest {
        v1::CreateTokenRequest {
            workspace: WORKSPACES[self.number % WORKSPACES.len()].to_owned(),
            name: mark(self.number),
            description: mark(self.number),
            scopes: vec![mark(self.number)],
            initiator: mark(self.number),
            ..Default::default()
        }
    }

    fn edit(&self) -> v1::UpdateTokenRequest {
        let token = v1::Token {
            id: self.id(),
            name: mark(self.number),
            description: mark(self.number),
            scopes: vec![mark(self.number)],
            ..Default::default()
        };
        let initiator = mark(self.number);
        v1::UpdateTokenRequest { token: Some(token), initiator, ..Default::default() }
    }

    fn regeneration(&self) -> v1::RegenerateTokenRequest {
        let (etag, initiator) = ("*".to_owned(), mark(self.number));
        v1::RegenerateTokenRequest { id: self.id(), etag, initiator, ..Default::default() }
    }

    fn revocation(&self) -> v1::RevokeTokenRequest {
        let (reason, initiator) = (mark(self.number), mark(self.number));
        v1::RevokeTokenRequest { id: self.id(), reason, initiator, ..Default::default() }
    }

    fn id(&self) -> String {
        self.token.clone().unwrap_or_default()
    }
}

fn timed<Message>(message: Message, within: Option<Duration>) -> Request<Message> {
    let mut request = Request::new(message);
    if let Some(within) = within {
        request.set_timeout(within);
    }
    request
}
