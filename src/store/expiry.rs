//! Moments that a statement reckons from its own clock, or from a column.

use std::time::Duration;

use diesel::data_types::PgInterval;
use diesel::dsl::AsExprOf;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Interval, Nullable, Timestamptz};

use super::moment::Moment;
use super::schema::tokens;
use super::token_row::{coalesce, statement_timestamp};
use crate::token::Expiry;

diesel::infix_operator!(Plus, " + ", Timestamptz, backend: Pg);

type Bound<Value, SqlType> = AsExprOf<Option<Value>, Nullable<SqlType>>;
type FromNow = Plus<statement_timestamp, Bound<PgInterval, Interval>>;

/// When a token expires whose expiry the statement at hand writes.
pub(super) fn expire_time(expiry: Expiry) -> coalesce<Bound<Moment, Timestamptz>, FromNow> {
    let at = moment(expiry).into_sql::<Nullable<Timestamptz>>();
    let after = lifetime(expiry).into_sql::<Nullable<Interval>>();
    coalesce(at, Plus::new(statement_timestamp(), after))
}

/// The moment at which the secret of the row at hand has this age.
pub(super) fn secret_time_and(age: Duration) -> Plus<tokens::secret_time, Bound<PgInterval, Interval>> {
    Plus::new(tokens::secret_time, Some(interval(age)).into_sql::<Nullable<Interval>>())
}

pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval::from_microseconds(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// The moment at which it is to be, if it is one.
pub(super) fn moment(expiry: Expiry) -> Option<Moment> {
    match expiry {
        Expiry::At(time) => Some(Moment(time)),
        Expiry::After(_) | Expiry::Never => None,
    }
}

/// The time from now until it is to be, if it is one.
pub(super) fn lifetime(expiry: Expiry) -> Option<PgInterval> {
    match expiry {
        Expiry::After(lifetime) => Some(interval(lifetime)),
        Expiry::At(_) | Expiry::Never => None,
    }
}
