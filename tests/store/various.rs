//! Tokens that differ in everything that a filter looks at, the filters, and what each of these says of a token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokenkeep::profile::{PrincipalKind, TokenType};
use tokenkeep::store::tokens::{self, NewToken};
use tokenkeep::store::{Connection, Store, last_uses, workspaces};
use tokenkeep::text::{Initiator, NamePrefix, PrincipalId};
use tokenkeep::token::TokenState::{Active, Expired, Invalidated, Revoked, Suspended};
use tokenkeep::token::{Expiry, Revision, Scope, Token, TokenEdit, TokenFilter, TokenId, TokenState};
use tokenkeep::workspace::WorkspaceId;
use uuid::Uuid;

use crate::harness::Database;
use crate::samples::{enrol, find, name, principal, reason, report, revoke, scopes, token, workspace};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The name `ac` is the first one after those that begin with `ab`.
const NAMES: [&str; 7] = ["abc", "abd", "Abc", "a_c", "é", "ab", "ac"];

/// How many tokens there are.
const COUNT: u32 = 120;

/// After which age a secret is due to be replaced.
pub(crate) const DUE_AFTER: Duration = Duration::from_hours(24 * 90);

/// A token, and what is not told of it.
pub(crate) struct Sample {
    pub(crate) token: Token,
    kind: Option<PrincipalKind>,
    superseded_use_time: Option<SystemTime>,
}

/// A token every other day, until now; in step with different periods they differ in all that filters ask for.
pub(crate) async fn samples(database: &Database, store: &Store) -> Vec<Sample> {
    let now = SystemTime::now();
    let mut person = principal("user:1");
    person.kind = PrincipalKind::User;
    let principals = [enrol(store, person).await, enrol(store, principal("robot")).await];
    let mut ids = Vec::new();
    for number in 0..COUNT {
        let mut new = token();
        new.id = TokenId::from_uuid(id(now - DAY * 2 * (COUNT - number), number));
        new.principal = principals.get(number as usize % 3).cloned();
        describe(&mut new, number, now);
        let mut connection = store.connection().await.unwrap();
        ids.push(insert(&mut connection, new).await);
        if number == COUNT / 4 {
            let system = workspace(WorkspaceId::SYSTEM);
            workspaces::invalidate(&mut connection, &system, Revision(1)).await.unwrap();
        }
    }
    for (number, id) in (0..).zip(&ids) {
        if number % 11 == 5 {
            let mut connection = store.connection().await.unwrap();
            tokens::suspend(&mut connection, *id, Some(&reason("odd")), Revision(1)).await.unwrap();
        }
        if number % 7 == 0 {
            revoke(store, *id).await;
        }
    }
    use_some(store, &ids, now).await;
    database.admin().await.batch_execute(MEDDLE).await.unwrap();
    read(database, store).await
}

/// A token that has expired already did not so at its birth.
async fn insert(connection: &mut Connection, mut new: NewToken) -> TokenId {
    let (id, expiry) = (new.id, new.expiry);
    if matches!(expiry, Expiry::At(_)) {
        new.expiry = Expiry::Never;
    }
    tokens::insert(connection, new).await.unwrap().unwrap();
    let edit = TokenEdit { expiry: Some(expiry), ..TokenEdit::default() };
    tokens::update(connection, id, edit, Revision(0)).await.unwrap().id
}

fn id(time: SystemTime, number: u32) -> Uuid {
    let milliseconds = time.duration_since(UNIX_EPOCH).unwrap().as_millis();
    Uuid::from_u128(milliseconds << 80 | 7 << 76 | 2 << 62 | u128::from(number * 7_919))
}

fn describe(new: &mut NewToken, number: u32, now: SystemTime) {
    let creators = ["somebody", "mia"];
    new.name = name(NAMES[number as usize % NAMES.len()]);
    new.creator = Initiator::parse(creators[usize::from(number % 5 == 1)].to_owned()).unwrap();
    new.token_type = [TokenType::Custom, TokenType::ReadOnly, TokenType::FullAccess][number as usize / 2 % 3];
    new.scopes = scopes([&["a:*", "b"][..], &["b"], &[]][number as usize % 3]);
    let expiry = [Expiry::Never, Expiry::At(now - HOUR), Expiry::After(HOUR), Expiry::After(100 * HOUR)];
    let far = [Expiry::At(now - 70 * DAY), Expiry::After(40 * DAY), Expiry::After(400 * DAY), Expiry::Never];
    new.expiry = if number.is_multiple_of(2) { expiry } else { far }[number as usize / 2 % 4];
}

async fn use_some(store: &Store, ids: &[TokenId], now: SystemTime) {
    let some = ids.iter().zip(0..).filter(|(_, number)| number % 4 != 0);
    // Nobody uses a token that is not yet there.
    let time = |number| (now - HOUR * (number % 5) * (number % 5) * 60).max(now - DAY * 2 * (COUNT - number));
    let uses: Vec<_> = some.map(|(id, number)| (*id, time(number))).collect();
    last_uses::record(&mut store.connection().await.unwrap(), &report(&uses), None).await.unwrap();
}

/// What no statement of the store can: the past, a key that is retired, and secrets that are dead.
const MEDDLE: &str = "
    UPDATE tokens SET create_time = to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0);
    UPDATE tokens SET secret_time = create_time + (get_byte(uuid_send(id), 15) % 3) * interval '20 days';
    INSERT INTO server_keys (kid, fingerprint, state) VALUES ('0b', '00000000000000000000000000000002', 'retired');
    UPDATE tokens SET kid = '0b' WHERE get_byte(uuid_send(id), 15) % 13 = 1;
    UPDATE token_last_uses SET superseded_use_count = 1,
        superseded_use_time = now() - (get_byte(uuid_send(token), 15) % 4) * interval '1 day'
        WHERE get_byte(uuid_send(token), 15) % 9 = 2";

/// All that are there, the newest first.
pub(crate) async fn read(database: &Database, store: &Store) -> Vec<Sample> {
    let admin = database.admin().await;
    let all =
        "SELECT id::text, principal_kind, superseded_use_time FROM tokens JOIN token_last_uses ON token = id
        ORDER BY id DESC";
    let mut samples = Vec::new();
    for row in admin.query(all, &[]).await.unwrap() {
        let kind: Option<String> = row.get(1);
        let kinds = PrincipalKind::WORDS.into_iter();
        samples.push(Sample {
            token: find(store, TokenId::parse(row.get(0)).unwrap()).await.unwrap(),
            kind: kind.map(|kind| kinds.clone().find(|(word, _)| *word == kind).unwrap().1),
            superseded_use_time: row.get(2),
        });
    }
    samples
}

/// A filter of each field, with some values.
fn single() -> Vec<TokenFilter> {
    let now = SystemTime::now();
    let none = TokenFilter::default;
    let states = |states: &[TokenState]| TokenFilter { states: states.iter().copied().collect(), ..none() };
    vec![
        none(),
        states(&[Active]),
        states(&[Expired]),
        states(&[Revoked]),
        states(&[Invalidated]),
        states(&[Suspended]),
        states(&[Active, Suspended]),
        states(&[Revoked, Expired, Suspended]),
        states(&[Active, Expired, Revoked, Invalidated, Suspended]),
        TokenFilter { principal: PrincipalId::parse("user:1".to_owned()).ok(), ..none() },
        TokenFilter { principal_kind: Some(PrincipalKind::User), ..none() },
        TokenFilter { principal_kind: Some(PrincipalKind::ServiceAccount), ..none() },
        TokenFilter { creator: Initiator::parse("mia".to_owned()).ok(), ..none() },
        TokenFilter { token_type: Some(TokenType::ReadOnly), ..none() },
        TokenFilter { name_prefix: NamePrefix::parse("ab".to_owned()).ok(), ..none() },
        TokenFilter { scope: Scope::parse("a:*".to_owned()).ok(), ..none() },
        TokenFilter { created_since: Some(now - 100 * DAY), ..none() },
        TokenFilter { created_before: Some(now - 100 * DAY), ..none() },
        TokenFilter { expiring_within: Some(2 * HOUR), ..none() },
        TokenFilter { expiring_within: Some(101 * HOUR), ..none() },
        TokenFilter { expiring_within: Some(41 * DAY), ..none() },
        TokenFilter { expiring_within: Some(500 * DAY), ..none() },
        TokenFilter { unused_since: Some(now - HOUR * 100), ..none() },
        TokenFilter { unused_since: Some(now - 39 * DAY), ..none() },
        TokenFilter { never_used: true, ..none() },
        TokenFilter { rotation_due: true, ..none() },
        TokenFilter { superseded_use_since: Some(now - 36 * HOUR), ..none() },
    ]
}

/// Each alone, each pair, and some of more.
pub(crate) fn filters() -> Vec<TokenFilter> {
    let single = single();
    let mut filters = single.clone();
    for one in &single {
        filters.extend(single.iter().map(|other| both(one, other)));
    }
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..200 {
        let some = (0..4).map(|_| &single[random.random_range(0..single.len())]);
        filters.push(some.fold(TokenFilter::default(), |one, other| both(&one, other)));
    }
    filters
}

/// What both say; the first where they say the same thing differently.
fn both(one: &TokenFilter, other: &TokenFilter) -> TokenFilter {
    let (one, other) = (one.clone(), other.clone());
    TokenFilter {
        states: if one.states.is_empty() { other.states } else { one.states },
        principal: one.principal.or(other.principal),
        principal_kind: one.principal_kind.or(other.principal_kind),
        creator: one.creator.or(other.creator),
        token_type: one.token_type.or(other.token_type),
        name_prefix: one.name_prefix.or(other.name_prefix),
        scope: one.scope.or(other.scope),
        created_since: one.created_since.or(other.created_since),
        created_before: one.created_before.or(other.created_before),
        expiring_within: one.expiring_within.or(other.expiring_within),
        unused_since: one.unused_since.or(other.unused_since),
        never_used: one.never_used || other.never_used,
        rotation_due: one.rotation_due || other.rotation_due,
        superseded_use_since: one.superseded_use_since.or(other.superseded_use_since),
    }
}

/// What a list must show.
pub(crate) fn expected(all: &[Sample], filter: &TokenFilter) -> Vec<Token> {
    all.iter().filter(|sample| sample.satisfies(filter)).map(|sample| sample.token.clone()).collect()
}

impl Sample {
    /// The filter as its documentation tells it.
    fn satisfies(&self, filter: &TokenFilter) -> bool {
        let (now, token) = (SystemTime::now(), &self.token);
        let soon = |within| token.expire_time.is_some_and(|time| time > now && time <= now + within);
        (filter.states.is_empty() || filter.states.contains(&token.state))
            && filter.principal.as_ref().is_none_or(|wanted| token.principal.as_ref() == Some(wanted))
            && filter.principal_kind.is_none_or(|wanted| self.kind == Some(wanted))
            && filter.creator.as_ref().is_none_or(|wanted| token.creator == *wanted)
            && filter.token_type.is_none_or(|wanted| token.token_type == wanted)
            && filter.name_prefix.as_ref().is_none_or(|start| token.name.as_str().starts_with(start.as_str()))
            && filter.scope.as_ref().is_none_or(|wanted| token.scopes.iter().any(|held| held == wanted))
            && filter.created_since.is_none_or(|since| token.create_time >= since)
            && filter.created_before.is_none_or(|before| token.create_time < before)
            && filter.expiring_within.is_none_or(soon)
            && filter
                .unused_since
                .is_none_or(|since| token.last_use_time.unwrap_or(token.create_time) < since)
            && (!filter.never_used || token.last_use_time.is_none())
            && (!filter.rotation_due || token.secret_time + DUE_AFTER <= now)
            && filter.superseded_use_since.is_none_or(|since| self.superseded_use_time >= Some(since))
    }
}
