//! What scenarios are told with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::calls::{Born, Wanted};
use crate::client::{Client, GROUPS, How, WORKSPACES};
use crate::history::{Answer, Freshness, Node};
use crate::moment::Moment;
use crate::recorder::{Known, Principal};
use crate::watcher::Watcher;
use crate::world::World;

/// How long anything may take that a scenario needs to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// A world, and whoever makes the changes in it.
pub struct Scene {
    pub world: Arc<World>,
    pub client: Client,
    looking: Vec<JoinHandle<()>>,
}

impl Scene {
    pub fn new(world: &Arc<World>) -> Self {
        let client = Client::new(0, &world.reach, &world.recorder);
        Self { world: Arc::clone(world), client, looking: Vec::new() }
    }

    /// A new token, made at the first server.
    pub async fn token(&mut self) -> Known {
        self.token_of(WORKSPACES[0], None).await
    }

    pub async fn token_of(&mut self, workspace: &str, lifetime: Option<Duration>) -> Known {
        self.token_for(workspace, None, lifetime).await
    }

    /// A new token that acts for a principal, if one is named.
    pub async fn token_for(
        &mut self,
        workspace: &str,
        principal: Option<&str>,
        lifetime: Option<Duration>,
    ) -> Known {
        let begun = Instant::now();
        loop {
            let wanted = Wanted { workspace, group: GROUPS[0], principal, lifetime };
            if let Some(id) = self.client.create(Node::Server(0), wanted, How::default()).await {
                return self.known(&id);
            }
            assert!(begun.elapsed() < PATIENCE, "no token can be made");
        }
    }

    /// A new principal, made at the first server.
    pub async fn principal(&mut self, workspace: &str) -> Principal {
        let begun = Instant::now();
        loop {
            if let Some(principal) =
                self.client.create_principal(Node::Server(0), workspace, Born::User).await
            {
                return principal;
            }
            assert!(begun.elapsed() < PATIENCE, "no principal can be made");
        }
    }

    /// A token as it is known by now.
    pub fn known(&self, id: &str) -> Known {
        self.world.recorder.tokens().into_iter().find(|known| known.id == id).unwrap()
    }

    /// A new token that a node has answered for more than once, and so knows.
    pub async fn token_known_at(&mut self, nodes: &[Node]) -> Known {
        let known = self.token().await;
        for node in nodes {
            self.warm(*node, &known).await;
        }
        known
    }

    /// Has a node answer for a token until it surely knows it.
    pub async fn warm(&mut self, node: Node, known: &Known) {
        let (begun, mut seen) = (Instant::now(), 0);
        while seen < 3 {
            let answer = self.client.introspect(node, known, 1, Freshness::Leased).await;
            seen += usize::from(matches!(answer, Answer::Active { .. }));
            assert!(begun.elapsed() < PATIENCE, "{node} does not answer: {answer:?}");
        }
    }

    /// Presents the first secret of tokens at nodes, from now on and for a while.
    pub fn look(&mut self, nodes: &[Node], tokens: &[&Known], freshness: Freshness, lasting: Duration) {
        for node in nodes.iter().copied() {
            let mut client = Client::new(1, &self.world.reach, &self.world.recorder);
            let tokens: Vec<Known> = tokens.iter().map(|known| (*known).clone()).collect();
            let until = Moment::now().after(lasting);
            self.looking.push(tokio::spawn(async move {
                while Moment::now() < until {
                    for known in &tokens {
                        client.introspect(node, known, 1, freshness).await;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }));
        }
    }

    /// Has a watcher that waits for as long as it takes watch one server from now on and for a while.
    pub fn watch(&mut self, number: usize, node: Node, workspace: Option<&str>, lasting: Duration) {
        let mut watcher = Watcher::new(number, &self.world.reach, &self.world.recorder, workspace);
        watcher.patience = lasting;
        let until = Moment::now().after(lasting);
        self.looking.push(tokio::spawn(async move {
            while Moment::now() < until {
                watcher.watch(node, until).await;
            }
        }));
    }

    /// Watches until so many frames have come, and keeps the place.
    pub fn watcher(&self, workspace: Option<&str>) -> Watcher {
        Watcher::new(9, &self.world.reach, &self.world.recorder, workspace)
    }

    pub async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits until everybody who looks or watches has done so.
    pub async fn done(&mut self) {
        for looking in self.looking.drain(..) {
            looking.await.unwrap();
        }
    }

    /// Revokes a token, and tries again until it is acknowledged.
    pub async fn surely_revoke(&mut self, node: Node, known: &Known) -> i64 {
        let begun = Instant::now();
        loop {
            if let Answer::Changed { revision, .. } =
                self.client.revoke(node, &known.id, false, How::default()).await
            {
                return revision;
            }
            assert!(begun.elapsed() < PATIENCE, "no revocation is acknowledged");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs statements at the database itself, past everybody.
    pub async fn execute(&self, statements: &str) {
        self.world.ground.postgres.lock().await.primary.execute(&self.world.database, statements).await;
    }
}

pub const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
