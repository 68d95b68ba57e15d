//! The indexes that lists of tokens go along, and the keys by which the lanes of each are told apart.

/// The most lanes of one range that are merged; with more, a list goes along all tokens.
pub(super) const MOST_LANES: usize = 256;

/// There are no more hours in a day and days in a month. PostgreSQL takes the number for what there is, and plans by it.
const MOST_OF_A_MONTH: usize = 31;

/// An index whose last column is the id of a token, and in which the first is its workspace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index {
    pub(super) table: &'static str,
    pub(super) id: &'static str,
    /// What its lanes are told apart by.
    pub(super) keys: &'static [&'static str],
    /// The collation of the keys that are texts.
    pub(super) collation: &'static str,
    /// What every entry satisfies.
    pub(super) only: &'static str,
    /// How far apart its lanes are, if they are as dense as the calendar.
    step: Option<&'static str>,
}

const fn of_tokens(keys: &'static [&'static str], only: &'static str) -> Index {
    Index { table: "tokens", id: "id", keys, collation: "\"default\"", only, step: None }
}

pub(super) const ALL: Index = of_tokens(&[], "true");
pub(super) const PRINCIPAL: Index =
    Index { collation: "\"C\"", ..of_tokens(&["principal"], "principal IS NOT NULL") };
pub(super) const PRINCIPAL_KIND: Index = of_tokens(&["principal_kind"], "principal_kind IS NOT NULL");
pub(super) const CREATOR: Index = of_tokens(&["creator"], "true");
pub(super) const TYPE: Index = of_tokens(&["type"], "true");
pub(super) const EXPIRY_HOUR: Index =
    Index { step: Some("1 hour"), ..of_tokens(&["hour_of(expire_time)"], "expire_time IS NOT NULL") };
pub(super) const EXPIRY_DAY: Index =
    Index { step: Some("1 day"), ..of_tokens(&["day_of(expire_time)"], "expire_time IS NOT NULL") };
pub(super) const EXPIRY_MONTH: Index = of_tokens(&["coalesce(month_of(expire_time), 'infinity')"], "true");
pub(super) const SECRET_MONTH: Index = of_tokens(&["secret_month"], "true");
pub(super) const VALIDITY: Index = of_tokens(&["epoch", "kid"], "true");
pub(super) const MARK: Index = Index {
    table: "token_marks",
    id: "token",
    keys: &["mark"],
    collation: "\"C\"",
    only: "true",
    step: None,
};
pub(super) const USE_MONTH: Index = Index {
    table: "token_last_uses",
    id: "token",
    keys: &["use_month"],
    collation: "",
    only: "true",
    step: None,
};
pub(super) const SUPERSEDED_USE: Index =
    Index { keys: &[], only: "superseded_use_time IS NOT NULL", ..USE_MONTH };

impl Index {
    /// The query for those of its keys that are in a range: each is one step down the index from the one before, or down
    /// the calendar.
    pub(super) fn range(self, from: &str, to: &str) -> String {
        let Self { table, keys, only, .. } = self;
        let key = keys.first().copied().unwrap_or_default();
        let (from, to) = (format!("(SELECT {from} FROM asked)"), format!("(SELECT {to} FROM asked)"));
        if let Some(step) = self.step {
            return format!(
                "SELECT first FROM generate_series({from}, {to}, interval '{step}') AS series (first) LIMIT {MOST_OF_A_MONTH}"
            );
        }
        let step = |beyond: &str| {
            format!(
                "SELECT {key} FROM {table} WHERE {only} AND workspace = (SELECT workspace FROM asked) \
                 AND {key} {beyond} AND {key} <= {to} ORDER BY {key} LIMIT 1"
            )
        };
        let (first, next) = (step(&format!(">= {from}")), step("> step.first"));
        format!(
            "SELECT first FROM (WITH RECURSIVE step AS (SELECT ({first}) AS first UNION ALL \
             SELECT ({next}) FROM step WHERE step.first IS NOT NULL) SELECT first FROM step) AS steps \
             WHERE first IS NOT NULL LIMIT {MOST_LANES}"
        )
    }
}

/// The pairs of an epoch and a key that secrets of the workspace have, as far as they are invalidated.
pub(super) const INVALIDATED_KEYS: &str = "\
    SELECT first, second FROM (WITH RECURSIVE step AS (\
    (SELECT epoch AS first, kid AS second FROM tokens \
    WHERE workspace = (SELECT workspace FROM asked) ORDER BY epoch, kid LIMIT 1) UNION ALL \
    SELECT next.epoch, next.kid FROM step, LATERAL (SELECT epoch, kid FROM tokens \
    WHERE workspace = (SELECT workspace FROM asked) AND (epoch, kid) > (step.first, step.second) \
    ORDER BY epoch, kid LIMIT 1) AS next) \
    SELECT first, second FROM step) AS steps WHERE first < (SELECT epoch FROM workspaces \
    WHERE id = (SELECT workspace FROM asked)) OR EXISTS (SELECT FROM server_keys WHERE kid = second AND state = 'retired') \
    LIMIT MOST";
