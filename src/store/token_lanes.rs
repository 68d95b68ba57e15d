//! The lanes of the index that a list goes along: each holds the ids of tokens that have one thing in common, in the order
//! of the ids, so that the newest of one lane, or of several merged, are found without looking at the others.

use std::fmt::Write as _;

use diesel::data_types::PgInterval;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Interval, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryResult, RunQueryDsl};
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::moment::Moment;
use super::token_indexes::{INVALIDATED_KEYS, Index, MOST_LANES, VALIDITY};
use crate::workspace::WorkspaceId;

/// Some lanes of an index.
#[derive(Debug, Clone)]
pub(super) enum Lanes {
    /// The whole of it.
    Whole(Index),
    /// The one of this key.
    One(Index, String),
    /// Those whose keys lie in a range, of which both ends belong to it: two expressions.
    Range(Index, String, String),
    /// Those of secrets that were invalidated.
    Invalidated,
}

/// What the expressions of a range may speak of as `asked.moment` and `asked.span`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) moment: Option<Moment>,
    pub(super) span: Option<PgInterval>,
}

/// Where on its way along its lanes a list is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// All ids before this one are still to come.
    pub(super) below: Uuid,
    /// How many ids at most.
    pub(super) count: i64,
}

/// The next ids of some lanes, the newest first, none left out and none twice.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) ids: Vec<Uuid>,
    /// Where those begin that may come after; `None` if there are none.
    pub(super) rest: Option<Uuid>,
}

/// The least that is read of each lane at once.
const LEAST_OF_A_LANE: usize = 8;

/// How many lanes are read further than that. Where an expiry follows creation, as it does if all tokens are given the same
/// life, the newest tokens are in one or two hours, days or months.
const DENSE_LANES: usize = 4;

/// Goes on along some lanes; `None` if there are too many of them.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub(super) async fn follow(
    connection: &mut Connection,
    workspace: &WorkspaceId,
    lanes: &[Lanes],
    asked: Asked,
    stretch: Stretch,
) -> Result<Option<Ids>, StoreError> {
    let merge = Merge { workspace: workspace.as_str().to_owned(), lanes: lanes.to_vec(), asked, stretch };
    let (ids, horizon, crowded): (Vec<Uuid>, Option<Uuid>, bool) = connection.row(merge).await?;
    if crowded {
        return Ok(None);
    }
    let full = usize::try_from(stretch.count).is_ok_and(|count| ids.len() >= count);
    let rest = if full { ids.last().copied() } else { horizon };
    Ok(Some(Ids { ids, rest }))
}

/// The statement. Each parameter is said once, in `asked`; the text is the same for the same kinds of lanes, so that
/// PostgreSQL is told it once a connection.
struct Merge {
    workspace: String,
    lanes: Vec<Lanes>,
    asked: Asked,
    stretch: Stretch,
}

impl QueryId for Merge {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Merge {
    type SqlType = (Array<SqlUuid>, Nullable<SqlUuid>, Bool);
}

impl<Connection> RunQueryDsl<Connection> for Merge {}

impl QueryFragment<Pg> for Merge {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH RECURSIVE asked AS (SELECT CAST(");
        out.push_bind_param::<Text, _>(&self.workspace)?;
        out.push_sql(" AS text) COLLATE \"C\" AS workspace, CAST(");
        out.push_bind_param::<SqlUuid, _>(&self.stretch.below)?;
        out.push_sql(" AS uuid) AS below, CAST(");
        out.push_bind_param::<BigInt, _>(&self.stretch.count)?;
        out.push_sql(" AS bigint) AS count, CAST(");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.asked.moment)?;
        out.push_sql(" AS timestamptz) AS moment, CAST(");
        out.push_bind_param::<Nullable<Interval>, _>(&self.asked.span)?;
        out.push_sql(" AS interval) AS span");
        for (number, lanes) in self.lanes.iter().enumerate() {
            if let Lanes::One(index, key) = lanes {
                out.push_sql(", CAST(");
                out.push_bind_param::<Text, _>(key)?;
                out.push_sql(&format!(" AS text) COLLATE {} AS one_{number}", index.collation));
            }
        }
        out.push_sql(&format!("){}", self.text()));
        Ok(())
    }
}

impl Merge {
    /// What comes after the parameters: the keys of each of the lanes, a few of the newest ids of each, more of those lanes
    /// that these few lead least far along, and of all of them as many as are complete. Of a lane that goes on, none is
    /// complete that is older than the last that was read of it.
    fn text(&self) -> String {
        let mut text = String::new();
        let all = |tell: &dyn Fn(usize) -> String, with: &str| {
            (0..self.lanes.len()).map(tell).collect::<Vec<_>>().join(with)
        };
        for (number, some) in self.lanes.iter().enumerate() {
            let (keys, few) = (some.keys(number), some.newest("(SELECT each FROM size)"));
            write!(text, ", keys_{number} AS MATERIALIZED ({keys})").ok();
            write!(
                text,
                ", few_{number} AS MATERIALIZED (SELECT key.*, {few} AS ids FROM keys_{number} AS key)"
            )
            .ok();
        }
        let counts = all(&|number| format!("(SELECT count(*) FROM keys_{number})"), " + ");
        let crowded = all(&|number| format!("(SELECT count(*) FROM keys_{number}) >= {MOST_LANES}"), " OR ");
        let edges = all(
            &|number| format!("SELECT ids[(SELECT each FROM size)] AS id FROM few_{number}"),
            " UNION ALL ",
        );
        let lanes: Vec<String> =
            self.lanes.iter().enumerate().map(|(number, some)| some.far(number)).collect();
        let lanes = lanes.join(" UNION ALL ");
        write!(
            text,
            ", size AS MATERIALIZED (SELECT count, greatest(count / greatest({counts}, 1), {LEAST_OF_A_LANE}) AS each FROM asked), \
             near AS MATERIALIZED (SELECT id FROM ({edges}) AS edges \
             WHERE id IS NOT NULL AND (SELECT each < count FROM size) ORDER BY 1 DESC LIMIT {DENSE_LANES}), \
             lanes AS MATERIALIZED ({lanes}), \
             horizon AS MATERIALIZED (SELECT ids[most] AS id FROM lanes WHERE ids[most] IS NOT NULL ORDER BY 1 DESC LIMIT 1) \
             SELECT ARRAY(SELECT DISTINCT merged.id FROM lanes, unnest(ids) AS merged (id) \
             WHERE merged.id >= coalesce((SELECT id FROM horizon), uuid '00000000-0000-0000-0000-000000000000') \
             ORDER BY 1 DESC LIMIT (SELECT count FROM asked)), (SELECT id FROM horizon), {crowded}"
        )
        .ok();
        text
    }
}

impl Lanes {
    const fn index(&self) -> Index {
        match self {
            Self::Whole(index) | Self::One(index, _) | Self::Range(index, ..) => *index,
            Self::Invalidated => VALIDITY,
        }
    }

    /// The query for the keys of its lanes.
    fn keys(&self, number: usize) -> String {
        match self {
            Self::Whole(_) => "SELECT".to_owned(),
            Self::One(..) => format!("SELECT one_{number} AS first FROM asked"),
            Self::Range(index, from, to) => index.range(from, to),
            Self::Invalidated => INVALIDATED_KEYS.replace("MOST", &MOST_LANES.to_string()),
        }
    }

    /// An array of the newest ids of the lane of a key, so many at most. The last key is compared together with the id, and is
    /// part of the order, so that no index but the one that is meant gives that order.
    fn newest(&self, most: &str) -> String {
        let Index { table, id, keys, only, .. } = self.index();
        let workspace = "(SELECT workspace FROM asked)";
        let (equal, last, value) = match keys {
            [] => ("true".to_owned(), "workspace", workspace),
            [key] => (format!("workspace = {workspace}"), *key, "key.first"),
            [first, second, ..] => {
                (format!("workspace = {workspace} AND {first} = key.first"), *second, "key.second")
            }
        };
        format!(
            "ARRAY(SELECT {id} FROM {table} WHERE {only} AND {equal} \
             AND ({last}, {id}) < ({value}, (SELECT below FROM asked)) AND {last} >= {value} \
             ORDER BY {last} DESC, {id} DESC LIMIT {most})"
        )
    }

    /// The query for the ids of each of its lanes, and how many were read at most: as many as are asked for of a lane that
    /// the newest of all are in, as it seems, and else the few there are.
    fn far(&self, number: usize) -> String {
        let more = self.newest("(SELECT count FROM asked)");
        let is_near = "key.ids[(SELECT each FROM size)] IN (SELECT id FROM near)";
        format!(
            "SELECT CASE WHEN {is_near} THEN {more} ELSE key.ids END AS ids, \
             CASE WHEN {is_near} THEN (SELECT count FROM asked) ELSE (SELECT each FROM size) END AS most \
             FROM few_{number} AS key"
        )
    }
}
