//! Statements that are written in SQL and kept prepared by each session, as those of the query builder are. What Diesel's own
//! `sql_query` runs is prepared and planned anew each time, which takes longer than to run it.

use std::borrow::Cow;
use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};

/// A statement, in which `$1` stands for the first value that is bound, and so on, each as often as it is named. It must be
/// one whose best plan is the same for all values.
pub(super) struct Statement<'value> {
    sql: Cow<'static, str>,
    values: Vec<Box<dyn QueryFragment<Pg> + Send + 'value>>,
}

/// A statement in which nothing is bound yet.
pub(super) fn statement(sql: impl Into<Cow<'static, str>>) -> Statement<'static> {
    Statement { sql: sql.into(), values: Vec::new() }
}

impl<'value> Statement<'value> {
    /// Binds the next value, as one of an SQL type.
    pub(super) fn bind<Type, Value>(mut self, value: Value) -> Self
    where
        Type: Send + 'value,
        Value: ToSql<Type, Pg> + Send + 'value,
        Pg: HasSqlType<Type>,
    {
        self.values.push(Box::new(Bound { value, of_type: PhantomData::<fn() -> Type> }));
        self
    }
}

struct Bound<Type, Value> {
    value: Value,
    of_type: PhantomData<fn() -> Type>,
}

impl<Type, Value: ToSql<Type, Pg>> QueryFragment<Pg> for Bound<Type, Value>
where
    Pg: HasSqlType<Type>,
{
    fn walk_ast<'pass>(&'pass self, mut out: AstPass<'_, 'pass, Pg>) -> QueryResult<()> {
        out.push_bind_param(&self.value)
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    /// Diesel counts what is bound by itself, so that a value that is named again is bound again.
    fn walk_ast<'pass>(&'pass self, mut out: AstPass<'_, 'pass, Pg>) -> QueryResult<()> {
        let mut parts = self.sql.split('$');
        out.push_sql(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = part.split_at_checked(digits).unwrap_or_default();
            let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let value = place.and_then(|place| self.values.get(place));
            let value = value.ok_or_else(|| Error::QueryBuilderError("a value is not bound".into()))?;
            value.walk_ast(out.reborrow())?;
            out.push_sql(rest);
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

#[cfg(test)]
mod tests {
    use diesel::debug_query;
    use diesel::pg::PgQueryBuilder;
    use diesel::sql_types::{Int4, Text};

    use super::*;

    fn written(statement: &Statement<'_>) -> String {
        debug_query::<Pg, _>(statement).to_string()
    }

    #[test]
    fn a_value_stands_wherever_it_is_named() {
        let named = statement("SELECT $2, $1, $2::text").bind::<Int4, _>(7).bind::<Text, _>("seven");
        assert_eq!(written(&named), r#"SELECT $1, $2, $3::text -- binds: ["seven", 7, "seven"]"#);
    }

    #[test]
    fn a_value_that_is_not_bound_is_missed() {
        for wrong in ["SELECT $2", "SELECT $0", "SELECT $"] {
            let built = statement(wrong).bind::<Int4, _>(7).to_sql(&mut PgQueryBuilder::default(), &Pg);
            assert!(built.is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_kept_prepared() {
        assert!(statement("SELECT $1").bind::<Int4, _>(7).is_safe_to_cache_prepared(&Pg).unwrap());
        assert!(!diesel::sql_query("SELECT 7").is_safe_to_cache_prepared(&Pg).unwrap());
    }
}
