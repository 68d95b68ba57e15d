//! Two servers over one database: revocations at the first, and a watcher at each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::proto::v1::watch_revocations_response::Frame;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_postgres::Client;

use super::heard::{Delays, Moments, committed};
use super::pace::Pace;
use crate::measure::database::PrivateDatabase;
use crate::measure::minted::{Minted, Minting, mint};
use crate::measure::page::Outcome;
use crate::measure::process::ServerProcess;
use crate::measure::served::{ServedDatabase, Tokens};

const CALLERS: usize = 256;

/// As many callers share a connection.
const STREAMS: usize = 32;

/// The longest that nothing may come.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Servers {
    reader: Client,
    callers: Vec<Tokens>,
    /// A watcher at the first server, and one at the second.
    heard: [UnboundedReceiver<(i64, SystemTime)>; 2],
    tokens: Vec<Minted>,
    _processes: [ServerProcess; 2],
}

impl Servers {
    /// Starts them over a database of that name, with so many tokens to revoke.
    pub(crate) async fn prepare(database: &PrivateDatabase, name: &str, tokens: usize) -> Outcome<Self> {
        let served = ServedDatabase::prepare(database, name).await?;
        let processes = [served.serve(&[])?, served.serve(&[])?];
        let [first, second] = &processes;
        served.create_workspace(first.address).await?;
        let tokens = mint(database, &served, Minting::of(tokens)).await?;
        let heard = [watch(&served, first).await?, watch(&served, second).await?];
        let mut callers = Vec::with_capacity(CALLERS);
        for _ in 0..CALLERS / STREAMS {
            let client = TokenServiceClient::new(served.operator(first.address).await?);
            callers.extend(std::iter::repeat_n(client, STREAMS));
        }
        Ok(Self { reader: database.connect(name).await?, callers, heard, tokens, _processes: processes })
    }

    /// How late the watcher at the same server is told, and the one at the other.
    pub(crate) async fn measure(&mut self, pace: Pace) -> Outcome<[Delays; 2]> {
        let tokens = Arc::new(self.tokens.split_off(self.tokens.len() - pace.count));
        let workers = self.callers.iter().cloned().map(|caller| {
            let tokens = Arc::clone(&tokens);
            move |number: usize| revoke(caller.clone(), tokens.get(number).map(|token| token.id.clone()))
        });
        let answered: Moments = pace.keep(workers.collect()).await?.into_iter().collect();
        let mut heard = [Moments::new(), Moments::new()];
        for (heard, watcher) in heard.iter_mut().zip(&mut self.heard) {
            while heard.len() < pace.count {
                let told = tokio::time::timeout(PATIENCE, watcher.recv()).await?;
                heard.extend(told);
            }
        }
        let committed = committed(&self.reader, "revisions", "revision").await?;
        let [same, other] = heard.map(|heard| Delays::between(&committed, &answered, &heard));
        Ok([same?, other?])
    }
}

/// Gives its revision, and when it was answered.
pub(crate) async fn revoke(mut server: Tokens, token: Option<String>) -> Outcome<(i64, SystemTime)> {
    let id = token.ok_or("no tokens are left")?;
    let revoked = server.revoke_token(v1::RevokeTokenRequest { id, ..Default::default() }).await?;
    let answered = SystemTime::now();
    Ok((revoked.into_inner().token.unwrap_or_default().revision, answered))
}

/// Has begun to watch when it returns; then notes when each event comes.
async fn watch(
    database: &ServedDatabase,
    server: &ServerProcess,
) -> Outcome<UnboundedReceiver<(i64, SystemTime)>> {
    let mut client = TokenServiceClient::new(database.operator(server.address).await?);
    let mut frames = client.watch_revocations(v1::WatchRevocationsRequest::default()).await?.into_inner();
    frames.message().await?;
    let (sender, heard): (UnboundedSender<_>, _) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(frame)) = frames.message().await {
            if matches!(frame.frame, Some(Frame::Event(_)))
                && sender.send((frame.revision, SystemTime::now())).is_err()
            {
                return;
            }
        }
    });
    Ok(heard)
}
