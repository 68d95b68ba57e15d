//! Requests that were carried out of late, and the fingerprints of the keys that their secrets are sealed under.

use std::collections::HashSet;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::statement::statement;
use super::transaction::Transaction;
use crate::defect::{Defect, seeded};
use crate::request::{Day, Fingerprint, RequestDigest, Sealed};
use crate::token::{Generation, Revision, TokenId};

/// A request on its way, as it is entered before anything else is done.
#[derive(Debug, Clone)]
pub struct Undertaking {
    /// What recognises it.
    pub digest: RequestDigest,
    /// What it asks for.
    pub fingerprint: Fingerprint,
    /// The token that it makes or changes, if it is one, and whose secret it makes.
    pub token: Option<(TokenId, Generation)>,
    /// The secret that it makes.
    pub sealed: Option<Sealed>,
}

/// A request that was carried out.
#[derive(Debug, Clone)]
pub struct Done {
    /// What it asked for.
    pub fingerprint: Fingerprint,
    /// The token that it made or changed, and the generation that it left.
    pub token: Option<(TokenId, Generation)>,
    /// The secret that it made.
    pub sealed: Option<Sealed>,
    /// How many tokens it concerned, if it concerned many.
    pub count: Option<i64>,
    /// The revision of the change, if it concerned many tokens.
    pub revision: Revision,
}

/// In one order, so that whoever enters several waits and never deadlocks.
const ENTER: &str = "\
    INSERT INTO requests (digest, fingerprint, token, generation, replay_day, sealed_secret) \
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::uuid[], $4::int[], $5::int[], $6::bytea[]) \
    AS entered (digest, fingerprint, token, generation, replay_day, sealed_secret) ORDER BY digest \
    ON CONFLICT (digest) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, token = EXCLUDED.token, \
    generation = EXCLUDED.generation, replay_day = EXCLUDED.replay_day, sealed_secret = EXCLUDED.sealed_secret, \
    count = NULL, revision = 0, create_time = statement_timestamp() \
    WHERE requests.create_time < statement_timestamp() - $7 * interval '1 second' RETURNING digest";

const FIND: &str = "\
    SELECT fingerprint, token, generation, replay_day, sealed_secret, count, revision FROM requests \
    WHERE digest = $1 AND create_time >= statement_timestamp() - $2 * interval '1 second'";

const FORGET: &str = "\
    DELETE FROM requests WHERE digest IN (SELECT digest FROM requests \
    WHERE create_time < statement_timestamp() - $1 * interval '1 second' ORDER BY create_time LIMIT $2 \
    FOR UPDATE SKIP LOCKED) RETURNING digest";

#[derive(QueryableByName)]
struct DigestRow {
    #[diesel(sql_type = Binary)]
    digest: Vec<u8>,
}

#[derive(QueryableByName)]
struct DoneRow {
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    token: Option<Uuid>,
    #[diesel(sql_type = Nullable<Integer>)]
    generation: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    replay_day: Option<i32>,
    #[diesel(sql_type = Nullable<Binary>)]
    sealed_secret: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    count: Option<i64>,
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

impl DoneRow {
    fn into_done(self) -> Result<Done, StoreError> {
        let fingerprint = bytes("requests.fingerprint", &self.fingerprint)?;
        let token = self.token.map(TokenId::from_uuid).zip(self.generation.map(Generation));
        let sealed = self.replay_day.map(Day).zip(self.sealed_secret);
        Ok(Done {
            fingerprint: Fingerprint(fingerprint),
            token,
            sealed: sealed.map(|(day, bytes)| Sealed { day, bytes }),
            count: self.count,
            revision: Revision(self.revision),
        })
    }
}

fn bytes(what: &'static str, column: &[u8]) -> Result<[u8; 32], StoreError> {
    column.try_into().map_err(|_| StoreError::Corrupt { what })
}

/// Enters requests that are about to be carried out in this transaction, before it locks anything else. One that is under
/// way elsewhere is waited for. Gives those that were entered; the rest were carried out within the window.
///
/// # Errors
/// [`StoreError::Unavailable`], also if another took too long.
pub async fn enter(
    transaction: &mut Transaction,
    undertakings: &[Undertaking],
    window: Duration,
) -> Result<HashSet<RequestDigest>, StoreError> {
    if undertakings.is_empty() {
        return Ok(HashSet::new());
    }
    if seeded(Defect::RequestNotEntered) {
        return Ok(undertakings.iter().map(|it| it.digest).collect());
    }
    let column = |of: fn(&Undertaking) -> &[u8]| undertakings.iter().map(of).collect::<Vec<_>>();
    let tokens = undertakings.iter().map(|it| it.token.map(|(id, generation)| (id.as_uuid(), generation.0)));
    let (ids, generations): (Vec<Option<Uuid>>, Vec<Option<i32>>) = tokens.map(Option::unzip).unzip();
    let sealed = undertakings.iter().map(|it| it.sealed.as_ref());
    let (days, sealed): (Vec<Option<i32>>, Vec<Option<&[u8]>>) =
        sealed.map(|sealed| sealed.map(|it| (it.day.0, it.bytes.as_slice())).unzip()).unzip();
    let query = statement(ENTER)
        .bind::<Array<Binary>, _>(column(|it| &it.digest.0))
        .bind::<Array<Binary>, _>(column(|it| &it.fingerprint.0))
        .bind::<Array<Nullable<SqlUuid>>, _>(ids)
        .bind::<Array<Nullable<Integer>>, _>(generations)
        .bind::<Array<Nullable<Integer>>, _>(days)
        .bind::<Array<Nullable<Binary>>, _>(sealed)
        .bind::<Double, _>(window.as_secs_f64());
    let rows: Vec<DigestRow> = transaction.connection().rows(query).await?;
    rows.iter().map(|row| bytes("requests.digest", &row.digest).map(RequestDigest)).collect()
}

/// What a request that was carried out within the window has come to.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn find(
    connection: &mut Connection,
    digest: RequestDigest,
    window: Duration,
) -> Result<Option<Done>, StoreError> {
    let query = statement(FIND).bind::<Binary, _>(digest.0.to_vec());
    let query = query.bind::<Double, _>(window.as_secs_f64());
    let row: Option<DoneRow> = connection.row_if_any(query).await?;
    row.map(DoneRow::into_done).transpose()
}

/// Writes what a request that this transaction has entered has come to, for those that concern many tokens.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn settle(
    transaction: &mut Transaction,
    digest: RequestDigest,
    count: i64,
    revision: Revision,
) -> Result<(), StoreError> {
    let query = diesel::sql_query("UPDATE requests SET count = $2, revision = $3 WHERE digest = $1");
    let query = query.bind::<Binary, _>(digest.0.to_vec());
    let query = query.bind::<BigInt, _>(count).bind::<BigInt, _>(revision.0);
    transaction.connection().execute(query).await
}

/// Takes back what this transaction has entered: these requests were refused, and may be carried out yet.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn withdraw(transaction: &mut Transaction, digests: &[RequestDigest]) -> Result<(), StoreError> {
    if digests.is_empty() {
        return Ok(());
    }
    let query = diesel::sql_query("DELETE FROM requests WHERE digest = ANY($1)");
    let digests: Vec<&[u8]> = digests.iter().map(|digest| digest.0.as_slice()).collect();
    transaction.connection().execute(query.bind::<Array<Binary>, _>(digests)).await
}

/// Forgets at most `limit` requests that are older than the window, with the secrets that were sealed for them; tells how
/// many. Two who do so at once do not wait for each other.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn forget(
    connection: &mut Connection,
    window: Duration,
    limit: usize,
) -> Result<usize, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = diesel::sql_query(FORGET).bind::<Double, _>(window.as_secs_f64());
    let rows: Vec<DigestRow> = connection.rows(query.bind::<BigInt, _>(limit)).await?;
    Ok(rows.len())
}

#[derive(QueryableByName)]
struct FingerprintRow {
    #[diesel(sql_type = Integer)]
    day: i32,
    #[diesel(sql_type = Text)]
    fingerprint: String,
}

/// Enters by what each day's replay key is told from any other, unless somebody has, and forgets days before them. Gives
/// what is entered for them.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn agree_on_replay_keys(
    connection: &mut Connection,
    fingerprints: &[(Day, String)],
) -> Result<Vec<(Day, String)>, StoreError> {
    let days: Vec<i32> = fingerprints.iter().map(|(day, _)| day.0).collect();
    let texts: Vec<&str> = fingerprints.iter().map(|(_, text)| text.as_str()).collect();
    let insert = diesel::sql_query(
        "INSERT INTO replay_keys (day, fingerprint) SELECT * FROM unnest($1::int[], $2::text[]) ON CONFLICT DO NOTHING",
    );
    connection.execute(insert.bind::<Array<Integer>, _>(&days).bind::<Array<Text>, _>(texts)).await?;
    let forget = diesel::sql_query("DELETE FROM replay_keys WHERE day < $1");
    connection.execute(forget.bind::<Integer, _>(days.iter().min().copied().unwrap_or(i32::MIN))).await?;
    let entered =
        diesel::sql_query("SELECT day, fingerprint FROM replay_keys WHERE day = ANY($1) ORDER BY day");
    let rows: Vec<FingerprintRow> = connection.rows(entered.bind::<Array<Integer>, _>(days)).await?;
    Ok(rows.into_iter().map(|row| (Day(row.day), row.fingerprint)).collect())
}
