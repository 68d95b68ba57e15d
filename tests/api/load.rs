//! Clients at work through an outage, each of whom knows what is true and notes whatever it is told otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::clients::{Client, refusal};
use crate::harness::{Server, eventually};

/// How many clients there are, each with a connection of its own.
const CLIENTS: usize = 16;

/// What the clients have met so far.
#[derive(Default)]
pub struct Tally {
    pub decided: AtomicUsize,
    pub undecided: AtomicUsize,
    ending: AtomicBool,
}

/// Clients that introspect live tokens, create and revoke until told to stop.
pub struct Load {
    pub tally: Arc<Tally>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Half of the clients act as a caller of one workspace, the other half as the operator.
    pub async fn start(server: &Server) -> Self {
        let tally = Arc::new(Tally::default());
        let mut operator = server.operator().await;
        operator.create_workspace("load").await;
        let (_, caller) = operator.create_token("load", "caller", &["tokenkeep:*"]).await;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let client = if number % 2 == 0 { server.operator().await } else { server.client(&caller).await };
            let (_, live) = operator.create_token("load", &format!("live {number}"), &[]).await;
            clients.push(tokio::spawn(work(client, live, Arc::clone(&tally))));
        }
        Self { tally, clients }
    }

    /// Waits until so many more requests were decided.
    pub async fn decides(&self, more: usize) {
        self.counts("the clients are answered", &self.tally.decided, more).await;
    }

    /// Waits until so many more requests could not be decided.
    pub async fn cannot_decide(&self, more: usize) {
        self.counts("the clients are put off", &self.tally.undecided, more).await;
    }

    async fn counts(&self, what: &str, count: &AtomicUsize, more: usize) {
        let goal = count.load(Ordering::SeqCst) + more;
        eventually(what, || async {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client was told what is not so");
            count.load(Ordering::SeqCst) >= goal
        })
        .await;
    }

    /// Stops the clients; panics if one was told what is not so.
    pub async fn stop(self) {
        self.tally.ending.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
        let Tally { decided, undecided, .. } = self.tally.as_ref();
        println!("{decided:?} requests decided, {undecided:?} put off");
    }
}

/// Panics if a live token is called inactive, a revoked one active, or a right request is refused for good.
async fn work(mut client: Client, live: String, tally: Arc<Tally>) {
    while !tally.ending.load(Ordering::SeqCst) {
        for _ in 0..4 {
            if let Some(told) = tally.note(client.introspect(&live).await).await {
                assert!(told.active, "a live token was called inactive: {told:?}");
            }
        }
        let request = tokenkeep::proto::v1::CreateTokenRequest {
            workspace: "load".to_owned(),
            name: "short-lived".to_owned(),
            ..Default::default()
        };
        let created = tally.note(client.tokens.create_token(request).await).await;
        let Some(created) = created.map(tonic::Response::into_inner) else { continue };
        let id = created.token.unwrap().id;
        if let Some(told) = tally.note(client.introspect(&created.secret).await).await {
            assert!(told.active, "a token just created was called inactive: {told:?}");
        }
        if tally.note(client.revoke(&id).await).await.is_some()
            && let Some(told) = tally.note(client.introspect(&created.secret).await).await
        {
            assert!(!told.active, "a revoked token was called active: {told:?}");
        }
    }
}

impl Tally {
    /// Takes an answer; `None` if it says, in the right way, that it cannot be decided.
    async fn note<Answer>(&self, answer: Result<Answer, Status>) -> Option<Answer> {
        match answer {
            Ok(answer) => {
                self.decided.fetch_add(1, Ordering::SeqCst);
                Some(answer)
            }
            Err(status) => {
                // It also panics unless RetryInfo is there where it is due.
                let refusal = refusal(&status);
                let undecided = [Code::Unavailable, Code::ResourceExhausted, Code::DeadlineExceeded];
                assert!(undecided.contains(&refusal.code), "an outage became a verdict: {status:?}");
                self.undecided.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                None
            }
        }
    }
}
