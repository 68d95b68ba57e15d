//! One of the two sides that are compared: a database with so many tokens, a server over it, and a caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::principal_service_client::PrincipalServiceClient;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokio::task::JoinSet;
use tonic::Status;

use crate::measure::database::PrivateDatabase;
use crate::measure::page::Outcome;
use crate::measure::process::ServerProcess;
pub(crate) use crate::measure::served::WORKSPACE;
use crate::measure::served::{ServedDatabase, Service, Tokens};

/// Tokens with the same principal, scope and beginning of a name, however many there are in all.
const FAMILY: usize = 10;

/// So many tokens of all are revoked.
const REVOKED: usize = 10;

/// How many tokens are made at most while it is measured how long that takes.
const MORE: usize = 5_000;

/// Callers at once while the tokens are made.
pub(crate) const CALLERS: usize = 32;

/// A token as its client holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Issued {
    pub(crate) id: String,
    pub(crate) secret: String,
}

pub(crate) struct Side {
    pub(crate) tokens: Tokens,
    /// By number.
    pub(crate) issued: Arc<Vec<Issued>>,
    /// How many a second were made, with [`CALLERS`] callers.
    pub(crate) creates_a_second: f64,
    /// How many a second were introspected for the first time, with [`CALLERS`] callers.
    pub(crate) introspections_a_second: f64,
    pub(crate) server: ServerProcess,
}

impl Side {
    /// A database with so many tokens, nine in ten of them used, and a server over it.
    pub(crate) async fn fill(database: &PrivateDatabase, count: usize) -> Outcome<Self> {
        let name = format!("tokens_{count}");
        let base = ServedDatabase::prepare(database, &name).await?;
        // Seldom enough to stay out of most calls' way, soon enough to be waited for.
        let server = base.serve(&["--last-use-interval", "5s"])?;
        base.create_workspace(server.address).await?;
        let operator = base.operator(server.address).await?;
        create_principals(&PrincipalServiceClient::new(operator.clone()), count).await?;
        let tokens = TokenServiceClient::new(operator);
        let (issued, creates_a_second) = create_all(&tokens, count).await?;
        let issued = Arc::new(issued);
        let introspections_a_second = introspect_most(&tokens, &issued).await?;
        let mut side = Self { tokens, issued, creates_a_second, introspections_a_second, server };
        side.revoke_some().await?;
        side.wait_for_last_uses().await?;
        // As PostgreSQL does by itself within a minute or so; here no round shall meet it.
        database.connect(&name).await?.batch_execute("VACUUM ANALYZE").await?;
        Ok(side)
    }

    async fn revoke_some(&mut self) -> Outcome<()> {
        for issued in self.issued.iter().step_by(self.issued.len() / REVOKED) {
            let request = v1::RevokeTokenRequest { id: issued.id.clone(), ..Default::default() };
            self.tokens.revoke_token(request).await?;
        }
        Ok(())
    }

    /// The uses are written now and then; a list of the unused is the same once they are.
    async fn wait_for_last_uses(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        let used = self.issued.iter().enumerate().rev().find(|(number, _)| is_used(*number));
        let (_, used) = used.ok_or("no token was used")?;
        while Instant::now() < deadline {
            let request = v1::GetTokenRequest { id: used.id.clone() };
            let token = self.tokens.get_token(request).await?.into_inner().token;
            if token.is_some_and(|token| token.last_use_time.is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("the last uses were not written".into())
    }
}

/// Adds whoever the tokens act for, and those that are made later.
async fn create_principals(principals: &PrincipalServiceClient<Service>, count: usize) -> Outcome<()> {
    let mut adding = JoinSet::new();
    for number in (0..count + MORE).step_by(FAMILY) {
        while adding.len() >= CALLERS {
            adding.join_next().await.ok_or("nobody adds")???;
        }
        let mut principals = principals.clone();
        adding.spawn(async move { principals.create_principal(principal_request(number)).await.map(drop) });
    }
    while let Some(added) = adding.join_next().await {
        added??;
    }
    Ok(())
}

fn principal_request(number: usize) -> v1::CreatePrincipalRequest {
    let principal = v1::Principal {
        workspace: WORKSPACE.to_owned(),
        id: principal(number),
        kind: v1::PrincipalKind::User.into(),
        name: principal(number),
        scopes: vec!["*".to_owned()],
        ..Default::default()
    };
    v1::CreatePrincipalRequest { principal: Some(principal), ..Default::default() }
}

/// The request that makes the token of that number: every tenth expires today, and ten have the same principal, a
/// scope of their own and the same beginning of their names.
pub(crate) fn token_request(number: usize) -> v1::CreateTokenRequest {
    use v1::create_token_request::Expiration;
    let hours = if number.is_multiple_of(10) { 12 } else { 365 * 24 };
    let lifetime = prost_types::Duration { seconds: hours * 3_600, nanos: 0 };
    v1::CreateTokenRequest {
        workspace: WORKSPACE.to_owned(),
        name: format!("{}{}", name_of_family(number), number % FAMILY),
        description: "A token among many".to_owned(),
        principal: principal(number),
        scopes: vec!["articles:read".to_owned(), scope(number)],
        expiration: Some(Expiration::Lifetime(lifetime)),
        ..Default::default()
    }
}

pub(crate) fn principal(number: usize) -> String {
    format!("user-{}", number / FAMILY)
}

pub(crate) fn scope(number: usize) -> String {
    format!("projects:{}:read", number / FAMILY)
}

pub(crate) fn name_of_family(number: usize) -> String {
    format!("token {}/", number / FAMILY)
}

const fn is_used(number: usize) -> bool {
    number % 10 != 1
}

/// The tokens by number, and how many were made in a second.
async fn create_all(tokens: &Tokens, count: usize) -> Outcome<(Vec<Issued>, f64)> {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut tokens = tokens.clone();
        callers.spawn(async move {
            let mut made = Vec::new();
            for number in (caller..count).step_by(CALLERS) {
                made.push((number, create(&mut tokens, number).await?));
            }
            Ok::<_, Status>(made)
        });
    }
    let mut issued = Vec::with_capacity(count);
    while let Some(made) = callers.join_next().await {
        issued.extend(made??);
    }
    issued.sort_unstable_by_key(|(number, _)| *number);
    let rate = a_second(count, begun)?;
    Ok((issued.into_iter().map(|(_, issued)| issued).collect(), rate))
}

pub(crate) async fn create(tokens: &mut Tokens, number: usize) -> Result<Issued, Status> {
    let created = tokens.create_token(token_request(number)).await?.into_inner();
    Ok(Issued { id: created.token.unwrap_or_default().id, secret: created.secret })
}

/// How many were introspected in a second.
async fn introspect_most(tokens: &Tokens, issued: &Arc<Vec<Issued>>) -> Outcome<f64> {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (mut tokens, issued) = (tokens.clone(), Arc::clone(issued));
        callers.spawn(async move {
            let own = issued.iter().enumerate().skip(caller).step_by(CALLERS);
            for (_, issued) in own.filter(|(number, _)| is_used(*number)) {
                introspect(&mut tokens, issued).await?;
            }
            Ok::<_, Status>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    a_second((0..issued.len()).filter(|number| is_used(*number)).count(), begun)
}

pub(crate) async fn introspect(tokens: &mut Tokens, issued: &Issued) -> Result<bool, Status> {
    let request = v1::IntrospectTokenRequest { token: issued.secret.clone(), ..Default::default() };
    Ok(tokens.introspect_token(request).await?.into_inner().active)
}

fn a_second(count: usize, begun: Instant) -> Outcome<f64> {
    Ok(f64::from(u32::try_from(count)?) / begun.elapsed().as_secs_f64())
}
