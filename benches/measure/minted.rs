//! Live tokens by the hundred thousand, made by the library's own parts and put straight into a served database.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokenkeep::hash::{Cost, Hasher};
use tokenkeep::keyring::{Keyring, ServerKey};
use tokenkeep::token::{IssuedSecret, Kid, Secret, TokenId};
use tokenkeep::workspace::TokenPrefix;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};
use uuid::{NoContext, Timestamp, Uuid};

use super::database::PrivateDatabase;
use super::page::Outcome;
use super::served::{ServedDatabase, WORKSPACE};

/// Connections that write at once, each while others hash.
const WRITERS: usize = 4;

/// Rows in a statement.
const ROWS: usize = 1_000;

/// A token as its client holds it.
#[derive(Debug, Clone)]
pub(crate) struct Minted {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// What the tokens are like.
#[derive(Debug, Clone)]
pub(crate) struct Minting {
    /// How many.
    pub(crate) count: usize,
    /// So many principals share them in turns, named `minted-0` and so on; for none if zero.
    pub(crate) principals: usize,
    /// The sets of scopes that they have in turns, like `articles:read`.
    pub(crate) scopes: &'static [&'static [&'static str]],
    /// They were created one after another, evenly spread over so long until now.
    pub(crate) spread: Duration,
}

impl Minting {
    /// So many, made just now, of four scopes in four combinations and of nobody.
    pub(crate) fn of(count: usize) -> Self {
        Self {
            count,
            principals: 0,
            scopes: &[
                &["articles:read", "articles:write", "comments:read", "comments:write"],
                &["articles:read", "articles:write", "comments:read", "orders:read"],
                &["articles:read", "comments:read", "orders:read", "orders:write"],
                &["articles:read", "articles:write", "orders:read", "orders:write"],
            ],
            spread: Duration::ZERO,
        }
    }
}

/// Mints tokens in the workspace, which must be there, oldest first. They are on disk when this returns.
pub(crate) async fn mint(
    database: &PrivateDatabase,
    served: &ServedDatabase,
    minting: Minting,
) -> Outcome<Vec<Minted>> {
    let keyring = Arc::new(Keyring::read(&database.directory().join("keyring"))?);
    let hasher = Hasher::new(Cost::DEFAULT, WRITERS, Duration::from_mins(1));
    let minting = Arc::new(minting);
    let mut writing: JoinSet<Outcome<Vec<(usize, Minted)>>> = JoinSet::new();
    for writer in 0..WRITERS {
        let client = connect(served.url()).await?;
        if writer == 0 {
            create_principals(&client, minting.principals).await?;
        }
        let (keyring, hasher, minting) = (Arc::clone(&keyring), hasher.clone(), Arc::clone(&minting));
        writing.spawn(async move {
            let mut minted = Vec::new();
            for begin in (0..minting.count).step_by(ROWS).skip(writer).step_by(WRITERS) {
                let numbers = begin..minting.count.min(begin + ROWS);
                let key = keyring.key(Kid::FIRST).ok_or("the first key is not there")?;
                let rows = Rows::make(&minting, numbers.clone(), key, &hasher).await?;
                rows.insert(&client).await?;
                minted.extend(numbers.zip(rows.into_minted()));
            }
            Ok(minted)
        });
    }
    let mut all = Vec::with_capacity(minting.count);
    while let Some(minted) = writing.join_next().await {
        all.extend(minted??);
    }
    // As PostgreSQL does by itself within a minute or so; what is measured shall not meet it.
    let client = connect(served.url()).await?;
    client.batch_execute("VACUUM ANALYZE").await?;
    client.batch_execute("CHECKPOINT").await?;
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, minted)| minted).collect())
}

/// A connection whose commits do not wait for the disk.
async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("SET synchronous_commit = off").await?;
    Ok(client)
}

async fn create_principals(client: &Client, count: usize) -> Outcome<()> {
    let statement = "
        INSERT INTO principals (workspace, id, kind, name, scopes, creator)
        SELECT $1, 'minted-' || n, 'user', 'somebody', ARRAY['*'], 'the benchmark'
        FROM generate_series(0, $2 - 1) AS n ON CONFLICT DO NOTHING";
    client.execute(statement, &[&WORKSPACE, &i32::try_from(count)?]).await?;
    Ok(())
}

/// Tokens that are to be written together, column by column.
#[derive(Default)]
struct Rows {
    ids: Vec<String>,
    ages: Vec<f64>,
    principals: Vec<Option<String>>,
    scopes: Vec<String>,
    secrets: Vec<String>,
    obfuscated: Vec<String>,
    tags: Vec<Vec<u8>>,
    hashes: Vec<String>,
}

impl Rows {
    async fn make(
        minting: &Minting,
        numbers: Range<usize>,
        key: &ServerKey,
        hasher: &Hasher,
    ) -> Outcome<Self> {
        let (mut rows, pepper, prefix) = (Self::default(), key.pepper(), TokenPrefix::default());
        for number in numbers {
            let to_go = minting.count - number - 1;
            let age = minting
                .spread
                .mul_f64(f64::from(u32::try_from(to_go)?) / f64::from(u32::try_from(minting.count)?));
            let (id, secret) = (id_of_age(age)?, Secret::generate()?);
            let issued = IssuedSecret::issue(&prefix, key.kid(), id, &secret, |signed| key.sign(signed));
            let scopes = minting.scopes.get(number % minting.scopes.len()).ok_or("no scopes")?;
            let principal =
                number.checked_rem(minting.principals).map(|principal| format!("minted-{principal}"));
            rows.ids.push(id.to_string());
            rows.ages.push(age.as_secs_f64());
            rows.principals.push(principal);
            rows.scopes.push(scopes.join(" "));
            rows.obfuscated.push(issued.obfuscated());
            rows.tags.push(issued.tag().0.to_vec());
            rows.hashes.push(hasher.hash(&secret, &pepper).await?.as_phc().to_owned());
            rows.secrets.push(issued.expose().to_owned());
        }
        Ok(rows)
    }

    /// The columns that are not said have their defaults, and what is kept beside a token is kept by triggers.
    async fn insert(&self, client: &Client) -> Outcome<()> {
        let Self { ids, ages, principals, scopes, obfuscated, tags, hashes, .. } = self;
        let statement = "
            INSERT INTO tokens (
                id, workspace, name, description, principal, principal_kind, creator, scopes, metadata, create_time,
                update_time, secret_time, generation, obfuscated_secret, kid, tag, secret_hash, epoch
            )
            SELECT
                id::uuid, $1, 'minted ' || right(id, 13), '', principal,
                CASE WHEN principal IS NOT NULL THEN 'user' END, 'the benchmark', string_to_array(scopes, ' '), '{}', at,
                at, at, 1, obfuscated, $9, tag, hash, (SELECT epoch FROM workspaces WHERE workspaces.id = $1)
            FROM (
                SELECT *, now() - age * interval '1 second' AS at
                FROM unnest($2::text[], $3::float8[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[])
                    AS minted (id, age, principal, scopes, obfuscated, tag, hash)
            ) AS minted";
        let kid = Kid::FIRST.to_string();
        client
            .execute(statement, &[&WORKSPACE, ids, ages, principals, scopes, obfuscated, tags, hashes, &kid])
            .await?;
        Ok(())
    }

    fn into_minted(self) -> impl Iterator<Item = Minted> {
        self.ids.into_iter().zip(self.secrets).map(|(id, secret)| Minted { id, secret })
    }
}

/// An id as one would have been drawn so long ago.
fn id_of_age(age: Duration) -> Outcome<TokenId> {
    if age.is_zero() {
        return Ok(TokenId::generate());
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.saturating_sub(age);
    let time = Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos());
    Ok(TokenId::from_uuid(Uuid::new_v7(time)))
}
