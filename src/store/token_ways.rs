//! Which way a filtered list goes to its tokens: along which lanes, or through a few tokens that were found beforehand.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::expiry::interval;
use super::moment::Moment;
use super::schema::tokens;
use super::token_indexes::{
    ALL, CREATOR, EXPIRY_DAY, EXPIRY_HOUR, EXPIRY_MONTH, Index, MARK, PRINCIPAL, PRINCIPAL_KIND,
    SECRET_MONTH, SUPERSEDED_USE, TYPE, USE_MONTH,
};
use super::token_lanes::{Asked, Ids, Lanes, Stretch, follow};
use super::token_list::TokenQuery;
use super::token_predicates::{first_after, kind_column};
use super::token_row::{statement_timestamp, token_type_column};
use crate::token::{TokenFilter, TokenState};
use crate::workspace::WorkspaceId;

/// How many tokens of a name's beginning are looked for: if there are no more, they are put in order; else the list goes
/// another way and meets them soon enough.
const FEW: usize = 5_000;

/// What the time in a token's id may differ from its creation, as the index of those that stray says, and a little more.
const ASTRAY: Duration = Duration::from_secs(61);

/// Where the candidates of a list are found, from the newest on.
#[derive(Debug)]
pub(super) struct Way {
    along: Along,
    asked: Asked,
    below: Uuid,
    least: Uuid,
}

#[derive(Debug)]
enum Along {
    Lanes(Vec<Lanes>),
    /// All candidates.
    Few(Vec<Uuid>),
}

impl Way {
    /// The way of a list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn of(connection: &mut Connection, query: &TokenQuery) -> Result<Self, StoreError> {
        let filter = &query.filter;
        let due = query.rotation_due_after.filter(|_| filter.rotation_due);
        let (least, below) = bounds(connection, query, due).await?;
        let below = query.after.map_or(below, |after| below.min(after.as_uuid()));
        let (along, asked) = if let Some(lanes) = few_lanes(filter) {
            (Along::Lanes(vec![lanes]), Asked::default())
        } else if let Some(few) = few_by_name(connection, query).await? {
            (Along::Few(few), Asked::default())
        } else {
            let (lanes, asked) = many_lanes(filter, due);
            (Along::Lanes(lanes), asked)
        };
        Ok(Self { along, asked, below, least })
    }

    /// The next candidates, so many at most; `false` besides once there are no more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn next(
        &mut self,
        connection: &mut Connection,
        workspace: &WorkspaceId,
        count: usize,
    ) -> Result<(Vec<Uuid>, bool), StoreError> {
        let Ids { ids, rest } = match &self.along {
            Along::Few(few) => among(few, self.below, count),
            Along::Lanes(lanes) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                let stretch = Stretch { below: self.below, count };
                if let Some(ids) = follow(connection, workspace, lanes, self.asked, stretch).await? {
                    ids
                } else {
                    let all = vec![Lanes::Whole(ALL)];
                    let on = follow(connection, workspace, &all, Asked::default(), stretch).await?;
                    self.along = Along::Lanes(all);
                    on.unwrap_or(Ids { ids: Vec::new(), rest: None })
                }
            }
        };
        let wanted = ids.iter().copied().filter(|id| *id >= self.least).collect();
        self.below = rest.unwrap_or(self.least);
        Ok((wanted, self.below > self.least))
    }

    /// Makes the candidates that are older than this one the next.
    pub(super) const fn go_on_after(&mut self, last: Uuid) {
        self.below = last;
    }

    /// Where the next candidates begin: all of them are older.
    pub(super) const fn reached(&self) -> Uuid {
        self.below
    }
}

fn among(few: &[Uuid], below: Uuid, count: usize) -> Ids {
    let older = few.iter().copied().filter(|id| *id < below);
    let ids: Vec<Uuid> = older.take(count).collect();
    let rest = ids.last().copied().filter(|_| ids.len() == count);
    Ids { ids, rest }
}

/// A lane that mostly holds few tokens and none that is not asked for.
fn few_lanes(filter: &TokenFilter) -> Option<Lanes> {
    if filter.superseded_use_since.is_some() {
        return Some(Lanes::Whole(SUPERSEDED_USE));
    }
    if let Some(principal) = &filter.principal {
        return Some(Lanes::One(PRINCIPAL, principal.to_string()));
    }
    if let Some(scope) = &filter.scope {
        return Some(Lanes::One(MARK, format!("scope:{scope}")));
    }
    filter.creator.as_ref().map(|creator| Lanes::One(CREATOR, creator.to_string()))
}

/// Lanes that may hold many, those first that tell most.
fn many_lanes(filter: &TokenFilter, due: Option<Duration>) -> (Vec<Lanes>, Asked) {
    let ended = !filter.states.is_empty() && !filter.states.contains(&TokenState::Active);
    let nothing = Asked::default();
    if ended {
        return (filter.states.iter().flat_map(|state| of_state(*state)).collect(), nothing);
    }
    if filter.never_used {
        return (vec![Lanes::Range(USE_MONTH, NEVER.to_owned(), NEVER.to_owned())], nothing);
    }
    if let Some(moment) = filter.unused_since {
        let lanes = Lanes::Range(USE_MONTH, NEVER.to_owned(), "month_of(moment)".to_owned());
        return (vec![lanes], Asked { moment: Some(Moment(moment)), ..nothing });
    }
    if let Some(within) = filter.expiring_within {
        return (expiring(), Asked { span: Some(interval(within)), ..nothing });
    }
    if let Some(due) = due {
        let to = "month_of(statement_timestamp() - span)".to_owned();
        let lanes = Lanes::Range(SECRET_MONTH, NEVER.to_owned(), to);
        return (vec![lanes], Asked { span: Some(interval(due)), ..nothing });
    }
    if let Some(token_type) = filter.token_type {
        return (vec![Lanes::One(TYPE, token_type_column(token_type).to_owned())], nothing);
    }
    if let Some(kind) = filter.principal_kind {
        return (vec![Lanes::One(PRINCIPAL_KIND, kind_column(kind).to_owned())], nothing);
    }
    match filter.states.len() {
        0 | STATES => (vec![Lanes::Whole(ALL)], nothing),
        _ => (filter.states.iter().flat_map(|state| of_state(*state)).collect(), nothing),
    }
}

/// How many states there are.
const STATES: usize = 5;

/// Before all months.
const NEVER: &str = "timestamp '-infinity'";

fn of_state(state: TokenState) -> Vec<Lanes> {
    match state {
        TokenState::Revoked => vec![Lanes::One(MARK, "revoked".to_owned())],
        TokenState::Suspended => vec![Lanes::One(MARK, "suspended".to_owned())],
        TokenState::Invalidated => vec![Lanes::Invalidated],
        TokenState::Expired => ranges([
            (EXPIRY_MONTH, NEVER, "month_of(statement_timestamp()) - interval '1 month'"),
            (
                EXPIRY_DAY,
                "month_of(statement_timestamp())",
                "day_of(statement_timestamp()) - interval '1 day'",
            ),
            (EXPIRY_HOUR, "day_of(statement_timestamp())", "hour_of(statement_timestamp())"),
        ]),
        // Those that have not expired.
        TokenState::Active => ranges([
            (
                EXPIRY_DAY,
                "day_of(statement_timestamp())",
                "month_of(statement_timestamp()) + interval '1 month' - interval '1 day'",
            ),
            (EXPIRY_MONTH, "month_of(statement_timestamp()) + interval '1 month'", "timestamp 'infinity'"),
        ]),
    }
}

/// The hours that are left of this day, the days that are left of this month, the months between, and the days and hours
/// of the last.
fn expiring() -> Vec<Lanes> {
    ranges([
        (
            EXPIRY_HOUR,
            "hour_of(statement_timestamp())",
            "least(hour_of(statement_timestamp() + span), day_of(statement_timestamp()) + interval '23 hours')",
        ),
        (
            EXPIRY_DAY,
            "day_of(statement_timestamp()) + interval '1 day'",
            "least(day_of(statement_timestamp() + span), month_of(statement_timestamp()) + interval '1 month') \
             - interval '1 day'",
        ),
        (
            EXPIRY_MONTH,
            "month_of(statement_timestamp()) + interval '1 month'",
            "month_of(statement_timestamp() + span) - interval '1 month'",
        ),
        (
            EXPIRY_DAY,
            "greatest(month_of(statement_timestamp() + span), \
             month_of(statement_timestamp()) + interval '1 month')",
            "day_of(statement_timestamp() + span) - interval '1 day'",
        ),
        (
            EXPIRY_HOUR,
            "greatest(day_of(statement_timestamp() + span), day_of(statement_timestamp()) + interval '1 day')",
            "hour_of(statement_timestamp() + span)",
        ),
    ])
}

fn ranges<const COUNT: usize>(ranges: [(Index, &str, &str); COUNT]) -> Vec<Lanes> {
    ranges.into_iter().map(|(index, from, to)| Lanes::Range(index, from.to_owned(), to.to_owned())).collect()
}

/// All tokens whose names begin so, the newest first; `None` if there are too many, or no beginning is asked for.
async fn few_by_name(
    connection: &mut Connection,
    query: &TokenQuery,
) -> Result<Option<Vec<Uuid>>, StoreError> {
    let Some(prefix) = &query.filter.name_prefix else { return Ok(None) };
    let mut named = tokens::table
        .select(tokens::id)
        .filter(tokens::workspace.eq(query.workspace.as_str()))
        .filter(tokens::name.ge(prefix.as_str()))
        .order((tokens::workspace, tokens::name))
        .limit(i64::try_from(FEW).unwrap_or(i64::MAX) + 1)
        .into_boxed();
    if let Some(end) = first_after(prefix.as_str()) {
        named = named.filter(tokens::name.lt(end));
    }
    let mut few: Vec<Uuid> = connection.rows(named).await?;
    few.sort_unstable_by(|one, other| other.cmp(one));
    Ok((few.len() <= FEW).then_some(few))
}

/// Between which ids the tokens lie that a filter may let through, by what it says of their creation: the least that may,
/// and one that is greater than all. A token is used, and its secret issued, after it was created.
async fn bounds(
    connection: &mut Connection,
    query: &TokenQuery,
    due: Option<Duration>,
) -> Result<(Uuid, Uuid), StoreError> {
    let TokenFilter { created_since, created_before, unused_since, .. } = query.filter;
    let everything = (Uuid::nil(), Uuid::max());
    if created_since.is_none() && created_before.is_none() && unused_since.is_none() && due.is_none() {
        return Ok(everything);
    }
    let astray = tokens::table
        .filter(tokens::workspace.eq(query.workspace.as_str()))
        .filter(sql::<Bool>("abs(seconds_from_id(id, create_time)) >= 60"));
    let now = diesel::select((statement_timestamp(), exists(astray)));
    let (Moment(now), astray): (Moment, bool) = connection.row(now).await?;
    if astray {
        return Ok(everything);
    }
    let due = due.and_then(|due| now.checked_sub(due));
    let before = [created_before, unused_since, due].into_iter().flatten().min();
    let least = created_since.and_then(|since| since.checked_sub(ASTRAY)).map_or(Uuid::nil(), first_at);
    let below = before.and_then(|before| before.checked_add(ASTRAY)).map_or(Uuid::max(), first_at);
    Ok((least, below))
}

/// What no id of that moment or later is less than.
fn first_at(moment: SystemTime) -> Uuid {
    let milliseconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let most = (1 << 48) - 1;
    Uuid::from_u128(milliseconds.min(most) << 80)
}
