//! How many revokes a second are made durable: one commit each, and together.
//!
//! One PostgreSQL with every commit on disk, one server in this process, and so many callers at once, each with one call
//! after the other. In turns, they revoke by a transaction each, in the statements that the server itself uses; by the
//! server's service; and by gRPC over loopback. `cargo bench --bench group_commit -- --write` writes the figures to
//! `docs/performance/group_commit.md`.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use tokenkeep::audit::Origin;
use tokenkeep::compose::{Server, ServerOptions};
use tokenkeep::hash::{Cost, Hasher};
use tokenkeep::keyring::{Keyring, ReplayKeys, today};
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::revocation::{Change, NewEvent, TokenChange};
use tokenkeep::server::listen::ListenAddress;
use tokenkeep::server::serving::ServingOptions;
use tokenkeep::service::{Caller, Permission, Revocation};
use tokenkeep::store::{DatabaseOptions, Store, Transaction, log, tokens};
use tokenkeep::text::{Initiator, Reason};
use tokenkeep::token::{Precondition, TokenId};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::page::{self, Outcome};
use self::measure::rounds::{Rounds, readable_range};

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod database;
    pub(crate) mod page;
    pub(crate) mod rounds;
}

const CALLERS: [usize; 2] = [64, 256];
const ROUNDS: usize = 9;

/// How many each caller revokes in a round.
const EACH: usize = 10;

/// As many callers share a connection.
const STREAMS: usize = 32;

/// The connections of those who commit for themselves, as many as the server has.
const CONNECTIONS: usize = 16;

const WAYS: [&str; 3] = ["a commit each", "together, in process", "together, over gRPC"];

fn main() -> Outcome<()> {
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let scene = Box::pin(Scene::set(&database)).await?;
        let mut measured = String::new();
        for callers in CALLERS {
            writeln!(measured, "{}", scene.compare(callers).await?)?;
        }
        let provenance = page::provenance(&database.version().await?)?;
        page::publish("group_commit.md", &format!("{provenance}\n{measured}"))
    })
}

struct Scene {
    server: Arc<Server>,
    caller: Caller,
    credential: MetadataValue<Ascii>,
    channels: Vec<Channel>,
    /// For those who commit for themselves.
    store: Store,
    admin: tokio_postgres::Client,
}

impl Scene {
    async fn set(database: &PrivateDatabase) -> Outcome<Self> {
        let mut options = DatabaseOptions::new(SecretString::from(database.url(FIRST)));
        options.connections = CONNECTIONS;
        // They queue for a connection here, as they queue for the log's lock or for the next batch otherwise.
        options.wait_timeout = Duration::from_mins(1);
        let store = Store::new(&options)?;
        let server = Box::pin(Server::start(server(database, options)?)).await?;
        let issued = server.service().issue_operator_token(true).await?.ok_or("no operator's token")?;
        let secret = SecretString::from(issued.secret.expose());
        let caller =
            server.service().authenticate(&secret, Permission::RevokeToken, Origin::default()).await?;
        let address = server.addresses().first().ok_or("no address")?;
        let mut channels = Vec::new();
        for _ in 0..CALLERS.iter().max().map_or(1, |most| most.div_ceil(STREAMS)) {
            channels.push(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
        }
        let credential = format!("Bearer {}", secret.expose_secret()).parse()?;
        let admin = database.connect(FIRST).await?;
        Ok(Self { server: Arc::new(server), caller, credential, channels, store, admin })
    }

    /// How long a round takes in each way, and how much faster than with a commit each that is.
    async fn compare(&self, callers: usize) -> Outcome<String> {
        let mut times = [const { Vec::new() }; WAYS.len()];
        for _ in 0..ROUNDS {
            for (way, times) in times.iter_mut().enumerate() {
                times.push(self.round(way, callers).await?);
            }
        }
        let revokes = u32::try_from(callers * EACH)?;
        let mut text = format!(
            "{callers} callers, {ROUNDS} rounds of {revokes} revokes; medians.\n\n| way | revokes a second | half of the \
             rounds took | in times of a commit each | half of the rounds |\n|---|---|---|---|---|\n"
        );
        let [alone, ..] = &times;
        for (name, times) in WAYS.iter().zip(&times) {
            let (mut rounds, mut ratios) = (Rounds::default(), Rounds::default());
            for (time, alone) in times.iter().zip(alone) {
                rounds.add(*time);
                ratios.add(alone / time);
            }
            let (rate, took) = (f64::from(revokes) / rounds.median(), readable_range(rounds.middle_half()));
            let (ratio, (low, high)) = (ratios.median(), ratios.middle_half());
            writeln!(text, "| {name} | {rate:.0} | {took} | {ratio:.2} | {low:.2} – {high:.2} |")?;
        }
        Ok(text)
    }

    /// The seconds that one round takes.
    async fn round(&self, way: usize, callers: usize) -> Outcome<f64> {
        let ids = self.live_tokens(callers * EACH).await?;
        let mut working: JoinSet<Outcome<()>> = JoinSet::new();
        let begun = Instant::now();
        for (number, share) in ids.chunks(EACH).enumerate() {
            let (mut way, share) = (self.way(way, number)?, share.to_vec());
            working.spawn(async move {
                for id in share {
                    way.revoke(id).await?;
                }
                Ok(())
            });
        }
        while let Some(worked) = working.join_next().await {
            worked??;
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// The way of one caller.
    fn way(&self, way: usize, caller: usize) -> Outcome<Way> {
        Ok(match way {
            0 => Way::Alone(self.store.clone()),
            1 => Way::InProcess(Arc::clone(&self.server), self.caller.clone()),
            _ => {
                let channel = self.channels.get(caller % self.channels.len()).ok_or("no channel")?;
                Way::OverGrpc(TokenServiceClient::new(channel.clone()), self.credential.clone())
            }
        })
    }

    /// Fresh tokens, copies of the operator's.
    async fn live_tokens(&self, count: usize) -> Outcome<Vec<TokenId>> {
        let ids: Vec<TokenId> = (0..count).map(|_| TokenId::generate()).collect();
        let texts: Vec<String> = ids.iter().map(|id| id.as_uuid().to_string()).collect();
        let copy = "
            INSERT INTO tokens (id, name, workspace, description, creator, scopes, metadata, generation,
                                obfuscated_secret, kid, tag, secret_hash)
            SELECT copy.id::uuid, 'copy', workspace, description, creator, scopes, metadata, generation,
                   obfuscated_secret, kid, tag, secret_hash
            FROM unnest($1::text[]) AS copy (id), tokens WHERE name = 'operator'";
        self.admin.execute(copy, &[&texts]).await?;
        // Neither a vacuum nor a checkpoint that this calls for shall fall into the round.
        self.admin.batch_execute("VACUUM ANALYZE tokens").await?;
        self.admin.batch_execute("CHECKPOINT").await?;
        Ok(ids)
    }
}

enum Way {
    Alone(Store),
    InProcess(Arc<Server>, Caller),
    OverGrpc(TokenServiceClient<Channel>, MetadataValue<Ascii>),
}

impl Way {
    async fn revoke(&mut self, id: TokenId) -> Outcome<()> {
        match self {
            Self::Alone(store) => {
                let mut transaction = store.begin().await?;
                let revoked = revoke(&mut transaction, id).await;
                transaction.finish(revoked).await?;
            }
            Self::InProcess(server, caller) => {
                let (precondition, reason) = (Precondition::Any, Reason::parse(String::new())?);
                let revocation = Revocation { id, precondition, reason, initiator: None, awaited: false };
                server.service().revoke_token(caller, revocation, None).await?;
            }
            Self::OverGrpc(client, credential) => {
                let message = v1::RevokeTokenRequest { id: id.to_string(), ..Default::default() };
                let mut request = Request::new(message);
                request.metadata_mut().insert("authorization", credential.clone());
                client.revoke_token(request).await?;
            }
        }
        Ok(())
    }
}

/// A revoke in a transaction of its own.
async fn revoke(transaction: &mut Transaction, id: TokenId) -> Outcome<()> {
    let locked = tokens::lock(transaction, &[id]).await?.pop().ok_or("no such token")?;
    let reason = Reason::parse(String::new())?;
    let change = Change::Token {
        what: TokenChange::Revoked { reason: reason.clone() },
        workspace: locked.token.workspace.clone(),
        token: id,
        generation: locked.token.generation,
    };
    let event = NewEvent { change, initiator: Initiator::parse("the benchmark".to_owned())? };
    let events = log::append_all(transaction, vec![event], false).await?.events;
    let revision = events.first().ok_or("no event")?.revision;
    tokens::revoke(transaction, vec![tokens::Revocation { token: locked.token, reason, revision }]).await?;
    Ok(())
}

fn server(database: &PrivateDatabase, options: DatabaseOptions) -> Outcome<ServerOptions> {
    let width = std::thread::available_parallelism()?.get();
    Ok(ServerOptions {
        doorbell: Some(options.clone()),
        database: options,
        lease: Duration::from_secs(3),
        revision_retention: Duration::from_hours(24),
        audit_retention: Duration::from_hours(24),
        request_window: Duration::from_mins(10),
        replay: ReplayKeys::open(&database.directory().join("keyring"), today())?,
        keyring: Keyring::read(&database.directory().join("keyring"))?,
        profiles: Vec::new(),
        hasher: Hasher::new(Cost::DEFAULT, width, Duration::from_secs(1)),
        serving: ServingOptions::new(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into())),
        operations: None,
        edge: None,
        reflection: false,
        last_use_interval: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(3),
    })
}
