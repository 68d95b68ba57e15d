//! A moment as PostgreSQL keeps it: `timestamptz`, in microseconds.

use std::time::SystemTime;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{Timestamp, Timestamptz};

/// Diesel knows `SystemTime` for `timestamp` only; the two types look alike on the wire. What is finer than a
/// microsecond is cut off.
#[derive(Debug, Clone, Copy, FromSqlRow, AsExpression)]
#[diesel(sql_type = Timestamptz)]
pub(super) struct Moment(pub(super) SystemTime);

impl ToSql<Timestamptz, Pg> for Moment {
    fn to_sql<'value>(&'value self, out: &mut Output<'value, '_, Pg>) -> serialize::Result {
        ToSql::<Timestamp, Pg>::to_sql(&self.0, out)
    }
}

impl FromSql<Timestamptz, Pg> for Moment {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <SystemTime as FromSql<Timestamp, Pg>>::from_sql(value).map(Self)
    }
}
