//! What is timed: each operation once, on one side.

use std::time::{Duration, Instant, SystemTime};

use tokenkeep::proto::v1;

use super::side::{self, Issued, Side, WORKSPACE};
use crate::measure::page::Outcome;

/// What doing it once takes.
pub(crate) enum Cost {
    /// A call that changes nothing.
    ACall,
    /// A call that makes a token, or for which a token was made.
    AToken,
    /// A call for each page.
    AllPages,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Create,
    /// Of a token just made: argon2 runs.
    IntrospectFirst,
    /// Of any token but the newest: argon2 ran while they were made.
    IntrospectAgain,
    Get,
    FirstPage,
    MiddlePage,
    ByPrincipal,
    ByName,
    ByScope,
    Active,
    Revoked,
    ExpiringToday,
    NeverUsed,
    UnusedForADay,
    /// All pages, for one token.
    Walk,
}

impl Operation {
    /// In the order in which they take turns.
    pub(crate) const ALL: [Self; 15] = [
        Self::Create,
        Self::IntrospectFirst,
        Self::IntrospectAgain,
        Self::Get,
        Self::FirstPage,
        Self::MiddlePage,
        Self::ByPrincipal,
        Self::ByName,
        Self::ByScope,
        Self::Active,
        Self::Revoked,
        Self::ExpiringToday,
        Self::NeverUsed,
        Self::UnusedForADay,
        Self::Walk,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::IntrospectFirst => "introspect, the first time",
            Self::IntrospectAgain => "introspect, again",
            Self::Get => "get",
            Self::FirstPage => "list, the first page of 50",
            Self::MiddlePage => "list, a page of 50 from the middle",
            Self::ByPrincipal => "list by principal (10 match)",
            Self::ByName => "list by the beginning of the name (10 match)",
            Self::ByScope => "list by scope (10 match)",
            Self::Active => "list the active (nearly all match)",
            Self::Revoked => "list the revoked (10 match)",
            Self::ExpiringToday => "list those that expire within a day (one in ten matches)",
            Self::NeverUsed => "list the never used (one in ten matches)",
            Self::UnusedForADay => "list those unused for a day (none match)",
            Self::Walk => "page through all, 1,000 a page, for each token",
        }
    }
}

impl Operation {
    pub(crate) const fn cost(self) -> Cost {
        match self {
            Self::Create | Self::IntrospectFirst => Cost::AToken,
            Self::Walk => Cost::AllPages,
            Self::IntrospectAgain
            | Self::Get
            | Self::FirstPage
            | Self::MiddlePage
            | Self::ByPrincipal
            | Self::ByName
            | Self::ByScope
            | Self::Active
            | Self::Revoked
            | Self::ExpiringToday
            | Self::NeverUsed
            | Self::UnusedForADay => Cost::ACall,
        }
    }

    /// What a filtered list asks for; `any` is the number of one of the tokens.
    fn filter(self, any: usize) -> Option<v1::TokenFilter> {
        let mut filter = v1::TokenFilter::default();
        match self {
            Self::ByPrincipal => filter.principal = side::principal(any),
            Self::ByName => filter.name_prefix = side::name_of_family(any),
            Self::ByScope => filter.scope = side::scope(any),
            Self::Active => filter.states = vec![v1::TokenState::Active.into()],
            Self::Revoked => filter.states = vec![v1::TokenState::Revoked.into()],
            Self::ExpiringToday => {
                filter.expiring_within = Some(prost_types::Duration { seconds: 86_400, nanos: 0 });
            }
            Self::NeverUsed => filter.never_used = true,
            Self::UnusedForADay => filter.unused_since = Some(yesterday().into()),
            Self::Create
            | Self::IntrospectFirst
            | Self::IntrospectAgain
            | Self::Get
            | Self::FirstPage
            | Self::MiddlePage
            | Self::Walk => return None,
        }
        Some(filter)
    }
}

/// A side, and what the operations on it have to remember.
pub(crate) struct Timed {
    pub(crate) side: Side,
    /// Those made meanwhile and not introspected yet.
    newest: Vec<Issued>,
    /// How many tokens there are.
    count: usize,
    /// Asks for what comes after the newer half.
    middle: String,
}

impl Timed {
    pub(crate) async fn new(side: Side) -> Outcome<Self> {
        let count = side.issued.len();
        let mut timed = Self { side, newest: Vec::new(), count, middle: String::new() };
        let mut passed = 0;
        while passed < count / 2 {
            let page_size = (count / 2 - passed).min(1_000);
            let (listed, next) = timed.page(None, page_size, &timed.middle.clone()).await?;
            (passed, timed.middle) = (passed + listed, next);
        }
        Ok(timed)
    }

    /// Does it once and gives the seconds that took; for [`Operation::Walk`], for each token.
    pub(crate) async fn time(&mut self, operation: Operation) -> Outcome<f64> {
        let any = rand::random_range(0..self.side.issued.len());
        let issued = self.side.issued.get(any).cloned().ok_or("no such token")?;
        let begun = Instant::now();
        let mut parts = 1;
        match operation {
            Operation::Create => self.create().await?,
            Operation::IntrospectFirst => {
                let newest = self.newest.pop().ok_or("no token was just made")?;
                side::introspect(&mut self.side.tokens, &newest).await?;
            }
            Operation::IntrospectAgain => drop(side::introspect(&mut self.side.tokens, &issued).await?),
            Operation::Get => {
                drop(self.side.tokens.get_token(v1::GetTokenRequest { id: issued.id }).await?);
            }
            Operation::MiddlePage => drop(self.page(None, 50, &self.middle.clone()).await?),
            Operation::Walk => parts = self.walk().await?,
            Operation::FirstPage
            | Operation::ByPrincipal
            | Operation::ByName
            | Operation::ByScope
            | Operation::Active
            | Operation::Revoked
            | Operation::ExpiringToday
            | Operation::NeverUsed
            | Operation::UnusedForADay => drop(self.page(operation.filter(any), 50, "").await?),
        }
        Ok(begun.elapsed().as_secs_f64() / f64::from(parts))
    }

    async fn create(&mut self) -> Outcome<()> {
        self.newest.push(side::create(&mut self.side.tokens, self.count).await?);
        self.count += 1;
        Ok(())
    }

    /// How many tokens there are.
    async fn walk(&mut self) -> Outcome<u32> {
        let (mut listed, mut next) = self.page(None, 1_000, "").await?;
        while !next.is_empty() {
            let (more, after) = self.page(None, 1_000, &next).await?;
            (listed, next) = (listed + more, after);
        }
        if listed != self.count {
            return Err(format!("the pages hold {listed} of {} tokens", self.count).into());
        }
        Ok(u32::try_from(listed)?)
    }

    /// How many tokens are on a page, and what asks for the next.
    async fn page(
        &mut self,
        filter: Option<v1::TokenFilter>,
        page_size: usize,
        page_token: &str,
    ) -> Outcome<(usize, String)> {
        let request = v1::ListTokensRequest {
            workspace: WORKSPACE.to_owned(),
            filter,
            page_size: i32::try_from(page_size)?,
            page_token: page_token.to_owned(),
        };
        let page = self.side.tokens.list_tokens(request).await?.into_inner();
        Ok((page.tokens.len(), page.next_page_token))
    }
}

fn yesterday() -> SystemTime {
    SystemTime::now() - Duration::from_hours(24)
}
