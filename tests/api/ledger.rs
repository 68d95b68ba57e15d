//! What clients were told and what they asked for last, to hold against what a server knows after it was killed.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokenkeep::proto::v1;
use tonic::Status;

use crate::clients::Client;

/// A change that was asked for.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Rename(String),
    Regenerate,
    Revoke,
}

/// A token as its one client knows it.
#[derive(Debug)]
pub struct Entry {
    pub id: String,
    pub name: String,
    pub generation: i32,
    pub revoked: bool,
    /// The latest secret that was told; of none if a regenerate was made whose answer was lost.
    secret: Option<String>,
    /// The secrets before.
    replaced: Vec<String>,
    /// Asked for and never answered.
    unanswered: Option<Change>,
}

/// A client that changes tokens of its own, one after another.
pub struct Worker {
    pub name: String,
    pub entries: Vec<Entry>,
    pub acknowledged: u32,
    /// The names of the tokens that it asked for without being answered.
    pub unacknowledged: Vec<String>,
    random: StdRng,
    created: u32,
}

impl Worker {
    pub fn new(number: u64, seed: u64) -> Self {
        Self {
            name: format!("worker{number}"),
            entries: Vec::new(),
            acknowledged: 0,
            unacknowledged: Vec::new(),
            random: StdRng::seed_from_u64(seed ^ (number + 1)),
            created: 0,
        }
    }

    /// Makes one change; whether it was answered.
    pub async fn step(&mut self, client: &mut Client) -> bool {
        let alive: Vec<usize> = (0..self.entries.len()).filter(|at| !self.entries[*at].revoked).collect();
        let answered = if alive.is_empty() || self.random.random_ratio(1, 4) {
            self.create(client).await
        } else {
            let at = alive[self.random.random_range(0..alive.len())];
            let change = match self.random.random_range(0..8) {
                0..3 => Change::Rename(format!("{}-renamed-{}", self.name, self.acknowledged)),
                3..6 => Change::Regenerate,
                _ => Change::Revoke,
            };
            self.entries[at].change(client, change).await
        };
        self.acknowledged += u32::from(answered.is_ok());
        answered.is_ok()
    }

    async fn create(&mut self, client: &mut Client) -> Result<(), Status> {
        self.created += 1;
        let name = format!("{}-{}", self.name, self.created);
        let (workspace, name) = ("acme".to_owned(), name);
        let request = v1::CreateTokenRequest { workspace, name: name.clone(), ..Default::default() };
        let answer = client.tokens.create_token(request).await;
        let created = answer.inspect_err(|_| self.unacknowledged.push(name.clone()))?.into_inner();
        self.entries.push(Entry {
            id: created.token.unwrap().id,
            name,
            generation: 1,
            revoked: false,
            secret: Some(created.secret),
            replaced: Vec::new(),
            unanswered: None,
        });
        Ok(())
    }
}

impl Entry {
    async fn change(&mut self, client: &mut Client, change: Change) -> Result<(), Status> {
        self.unanswered = Some(change.clone());
        match change {
            Change::Rename(name) => {
                let token = v1::Token { id: self.id.clone(), name: name.clone(), ..Default::default() };
                let request = v1::UpdateTokenRequest { token: Some(token), ..Default::default() };
                client.tokens.update_token(request).await?;
                self.name = name;
            }
            Change::Regenerate => {
                let answer = client.regenerate(&self.id, "*").await?;
                self.replaced.extend(self.secret.replace(answer.secret));
                self.generation += 1;
            }
            Change::Revoke => {
                client.revoke(&self.id).await?;
                self.revoked = true;
            }
        }
        self.unanswered = None;
        Ok(())
    }

    /// Holds what was acknowledged against what the server knows, and takes over what it says of the rest.
    pub async fn settle(&mut self, operator: &mut Client) {
        let token = operator.get_token(&self.id).await.expect("what was created is there");
        match self.unanswered.take() {
            Some(Change::Rename(name)) if token.name == name => self.name = name,
            Some(Change::Regenerate) if token.generation == self.generation + 1 => {
                self.generation += 1;
                self.replaced.extend(self.secret.take());
            }
            Some(Change::Revoke) => self.revoked = token.state() == v1::TokenState::Revoked,
            Some(_) | None => {}
        }
        let state = if self.revoked { v1::TokenState::Revoked } else { v1::TokenState::Active };
        let known = (self.name.as_str(), self.generation, state);
        assert_eq!((token.name.as_str(), token.generation, token.state()), known, "{self:?}");
        if let Some(secret) = &self.secret {
            assert_eq!(operator.introspect(secret).await.unwrap().active, !self.revoked, "{self:?}");
        }
        for secret in &self.replaced {
            assert!(!operator.introspect(secret).await.unwrap().active, "{self:?}");
        }
    }
}
