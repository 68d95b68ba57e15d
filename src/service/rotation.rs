//! Rolling and retiring server keys, while servers go on, for whoever holds the database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::keys::FRESH;
use super::operator::find_operator_token;
use super::{Caller, Error};
use crate::audit::{Action, Details, Entry, Subject};
use crate::lease::stretched;
use crate::revocation::{Appended, Change, Committed, NewEvent, Position};
use crate::store::keys::{self, KeyState, ServerKeyRow};
use crate::store::minted::{self, Minted};
use crate::store::{Connection, Store, StoreError, Transaction, audit, credentials, log, servers, tokens};
use crate::text::Initiator;
use crate::token::{Kid, Revision, Token, TokenState};
use crate::workspace::WorkspaceId;

/// For how long a key must have been listed before it mints: a server that was asked about a token of it before may take
/// it for forged until it looks into the list again.
const SETTLED: Duration = Duration::from_secs(2 * FRESH.as_secs());

/// How many tokens are counted by one statement.
const PAGE: usize = 10_000;

/// How many tokens of a key are shown.
const SAMPLE: usize = 10;

/// The pause between looks at what the servers have applied.
const PAUSE: Duration = Duration::from_millis(20);

/// On whose behalf a key is rolled to, and retired.
const ROLLING: &str = "tokenkeep keyring roll";
const RETIRING: &str = "tokenkeep keyring retire";

/// Why a key cannot be rolled to, or retired. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// No server has started with the key yet.
    #[error(
        "the database lists no key `{0}`; put {0}.key into the keyring of every server and restart them, one after another"
    )]
    NotListed(Kid),
    /// It is dead for good.
    #[error("the key `{0}` is retired, which is final; add another")]
    Retired(Kid),
    /// Some server could neither issue under the key nor prove what others issue.
    #[error(
        "{lacking} of {servers} servers do not hold the key `{kid}`; put {kid}.key into their keyrings and restart them, one after another (a server that was killed counts for some seconds more)"
    )]
    NotHeld {
        /// The key.
        kid: Kid,
        /// How many servers lack it.
        lacking: usize,
        /// How many servers there are.
        servers: usize,
    },
    /// A server may not have heard of the key yet.
    #[error(
        "the key `{0}` was first listed less than {seconds} seconds ago; try again once every server has heard of it",
        seconds = SETTLED.as_secs()
    )]
    Unsettled(Kid),
    /// New tokens would be dead.
    #[error("the key `{0}` mints; roll to another first: tokenkeep keyring roll <KID>")]
    Mints(Kid),
    /// The database cannot be asked.
    #[error("the keys on record cannot be read or changed")]
    Store(#[from] StoreError),
    /// What else can go wrong on our side.
    #[error("the keys on record cannot be read or changed")]
    Failed(#[from] Error),
}

/// The keys on record, and who holds them.
#[derive(Debug)]
pub struct KeyList {
    /// By kid.
    pub keys: Vec<ServerKeyRow>,
    /// The keys that each server holds.
    pub holdings: Vec<BTreeSet<Kid>>,
}

impl KeyList {
    /// How many servers hold a key.
    #[must_use]
    pub fn holders(&self, kid: Kid) -> usize {
        self.holdings.iter().filter(|held| held.contains(&kid)).count()
    }

    /// The key of that name, if it is of any use.
    fn usable(&self, kid: Kid) -> Result<&ServerKeyRow, RotationError> {
        let listed = self.keys.iter().find(|key| key.kid == kid).ok_or(RotationError::NotListed(kid))?;
        if listed.state == KeyState::Retired { Err(RotationError::Retired(kid)) } else { Ok(listed) }
    }

    /// The key that mints.
    fn minting(&self) -> Option<Kid> {
        self.keys.iter().find(|key| key.state == KeyState::Minting).map(|key| key.kid)
    }

    /// Whether a key may mint: as far as all servers know it.
    fn require_known_everywhere(&self, key: &ServerKeyRow) -> Result<(), RotationError> {
        let (kid, servers) = (key.kid, self.holdings.len());
        let lacking = servers - self.holders(kid);
        if lacking > 0 {
            return Err(RotationError::NotHeld { kid, lacking, servers });
        }
        if key.age < SETTLED { Err(RotationError::Unsettled(kid)) } else { Ok(()) }
    }

    /// The key of that name, if it may be retired.
    fn retirable(&self, kid: Kid) -> Result<(), RotationError> {
        let key = self.usable(kid)?;
        if key.state == KeyState::Minting { Err(RotationError::Mints(kid)) } else { Ok(()) }
    }
}

/// What retiring a key would end.
#[derive(Debug)]
pub struct Survey {
    /// The live tokens that it minted, by workspace, the most first.
    pub minted: Vec<Minted>,
    /// The newest of them, at most ten.
    pub sample: Vec<Token>,
    /// Whether the operator's token is among them.
    pub operator: bool,
}

/// The keys on record, for whoever holds the database.
#[derive(Debug)]
pub struct Rotation {
    store: Store,
}

impl Rotation {
    /// Over a migrated database.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The keys on record.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and its like.
    pub async fn list(&self) -> Result<KeyList, StoreError> {
        let mut connection = self.store.connection().await?;
        let keys = keys::list(&mut connection).await?;
        Ok(KeyList { keys, holdings: servers::holdings(&mut connection).await? })
    }

    /// Counts the live tokens that the keys minted, by key and workspace, while others go on changing them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and its like.
    pub async fn count(&self) -> Result<Vec<Minted>, StoreError> {
        let mut connection = self.store.connection().await?;
        let (mut after, mut all) = (None, BTreeMap::new());
        loop {
            let page = minted::page(&mut connection, after, PAGE).await?;
            if page.last.is_none() {
                return Ok(all.into_values().collect());
            }
            page.minted.into_iter().for_each(|minted| add(&mut all, minted));
            after = page.last;
        }
    }

    /// Has a key mint from now on; what others minted stays good. Gives the key that minted until now, which may be the
    /// same. Servers hear of it within about a second.
    ///
    /// # Errors
    /// [`RotationError`]; nothing has changed then.
    pub async fn roll(&self, kid: Kid) -> Result<Option<Kid>, RotationError> {
        let mut transaction = self.store.begin().await?;
        let rolled = roll(&mut transaction, kid).await;
        transaction.finish(rolled).await
    }

    /// Says what retiring a key would end, and changes nothing.
    ///
    /// # Errors
    /// [`RotationError`].
    pub async fn survey(&self, kid: Kid) -> Result<Survey, RotationError> {
        self.list().await?.retirable(kid)?;
        let mut minted = self.count().await?;
        minted.retain(|minted| minted.kid == kid && minted.live > 0);
        minted.sort_by_key(|minted| std::cmp::Reverse(minted.live));
        let mut connection = self.store.connection().await?;
        let sample = sample(&mut connection, &minted).await?;
        let operator = minted_operator_token(&mut connection, kid).await?;
        Ok(Survey { minted, sample, operator })
    }

    /// Retires a key, which ends every secret that it issued, in one transaction and by one event. Comes back when no cache
    /// accepts one any more, and gives the revision.
    ///
    /// # Errors
    /// [`RotationError`]; nothing has changed then, unless it is unknown.
    pub async fn retire(&self, kid: Kid) -> Result<Revision, RotationError> {
        let mut transaction = self.store.begin().await?;
        let retired = retire(&mut transaction, kid).await;
        let change = transaction.finish(retired).await?;
        let end = Instant::now() + stretched(change.longest_lease);
        // Whether every lease has run out or everybody has applied it: what was there before is accepted nowhere.
        let _ = timeout_at(end, self.acknowledged_by_all(change.position)).await;
        Ok(change.position.revision)
    }

    /// Waits until every server has applied a change. It is looked at after the commit: who joins later starts from it.
    async fn acknowledged_by_all(&self, position: Position) {
        while !self.is_acknowledged_by_all(position).await.unwrap_or(false) {
            sleep(PAUSE).await;
        }
    }

    async fn is_acknowledged_by_all(&self, position: Position) -> Result<bool, StoreError> {
        let rows = servers::list(&mut self.store.connection().await?).await?;
        Ok(rows.iter().all(|row| row.acknowledged.reaches(position)))
    }
}

/// Adds what a later page holds.
fn add(all: &mut BTreeMap<(Kid, WorkspaceId), Minted>, later: Minted) {
    let key = (later.kid, later.workspace.clone());
    if let Some(known) = all.get_mut(&key) {
        known.live += later.live;
        known.newest.splice(0..0, later.newest);
        known.newest.truncate(SAMPLE);
    } else {
        all.insert(key, later);
    }
}

async fn sample(connection: &mut Connection, minted: &[Minted]) -> Result<Vec<Token>, StoreError> {
    let mut newest: Vec<_> = minted.iter().flat_map(|minted| minted.newest.iter().copied()).collect();
    newest.sort_unstable_by(|one, other| other.cmp(one));
    let mut sample = Vec::new();
    for id in newest.into_iter().take(SAMPLE) {
        sample.extend(tokens::find(connection, id).await?);
    }
    Ok(sample)
}

async fn minted_operator_token(connection: &mut Connection, kid: Kid) -> Result<bool, RotationError> {
    let found = find_operator_token(connection).await?;
    let Some(token) = found.filter(|token| token.state == TokenState::Active) else { return Ok(false) };
    let credentials = credentials::read(connection, &[token.id]).await?;
    Ok(credentials.of.values().any(|credential| credential.present.kid == kid))
}

/// The list as it stands, which nobody else can change until the transaction ends.
async fn locked(transaction: &mut Transaction) -> Result<KeyList, StoreError> {
    let keys = keys::lock(transaction).await?;
    Ok(KeyList { keys, holdings: servers::holdings(transaction.connection()).await? })
}

async fn roll(transaction: &mut Transaction, kid: Kid) -> Result<Option<Kid>, RotationError> {
    let list = locked(transaction).await?;
    let key = list.usable(kid)?;
    let before = list.minting();
    if before != Some(kid) {
        list.require_known_everywhere(key)?;
        if let Some(before) = before {
            keys::set_state(transaction, before, KeyState::Live).await?;
        }
        keys::set_state(transaction, kid, KeyState::Minting).await?;
        let entry = entry("roll_key", &initiator(ROLLING)?, kid)?;
        audit::record(transaction.connection(), &[entry]).await?;
    }
    Ok(before)
}

async fn retire(transaction: &mut Transaction, kid: Kid) -> Result<Committed, RotationError> {
    locked(transaction).await?.retirable(kid)?;
    keys::set_state(transaction, kid, KeyState::Retired).await?;
    let initiator = initiator(RETIRING)?;
    let entry = entry("retire_key", &initiator, kid)?;
    let event = NewEvent { change: Change::KeyRetired { kid }, initiator };
    let Appended { history, longest_lease, events } = log::append_all(transaction, vec![event], true).await?;
    let revision = events.last().ok_or(StoreError::Corrupt { what: "revisions" })?.revision;
    audit::record(transaction.connection(), &[Entry { revision, ..entry }]).await?;
    Ok(Committed { position: Position { history, revision }, longest_lease })
}

fn initiator(text: &str) -> Result<Initiator, Error> {
    Initiator::parse(text.to_owned()).map_err(|invalid| Error::field("initiator", invalid))
}

/// What the audit tells of a key.
fn entry(action: &'static str, initiator: &Initiator, kid: Kid) -> Result<Entry, Error> {
    let entry = Caller::operator()?.entry(Action::known(action), initiator, Subject::default());
    Ok(Entry { details: Details::from([("kid", kid.to_string())]), ..entry })
}
