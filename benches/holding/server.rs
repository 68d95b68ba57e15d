//! A server process that comes to know tokens.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::introspection_outcome::Outcome as Judged;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokio::task::JoinSet;
use tonic::Status;

use super::filled::{name, scopes};
use crate::measure::database::{FIRST, PrivateDatabase};
use crate::measure::page::Outcome;
use crate::measure::served::{ServedDatabase, Tokens, WORKSPACE};

const CALLERS: usize = 32;
const BATCH: usize = 100;

/// So many are introspected before it is looked how large the server is, so that it has what it needs to serve at all.
const FIRST_FEW: usize = 2_000;

/// By how many bytes a server grows for each of so many tokens that it comes to know.
pub(crate) async fn bytes_per_token(private: &PrivateDatabase, tokens: usize) -> Outcome<f64> {
    let database = ServedDatabase::prepare(private, FIRST).await?;
    let secrets = create(&database, tokens + FIRST_FEW).await?;
    let server = database.serve(&[])?;
    let client = TokenServiceClient::new(database.operator(server.address).await?);
    let (first, rest) = secrets.split_at(FIRST_FEW);
    introspect(&client, first).await?;
    let before = server.resident_memory()?;
    introspect(&client, rest).await?;
    Ok((server.resident_memory()? - before) * 1024.0 * 1024.0 / f64::from(u32::try_from(rest.len())?))
}

async fn create(database: &ServedDatabase, count: usize) -> Outcome<Vec<String>> {
    let server = database.serve(&[])?;
    database.create_workspace(server.address).await?;
    let client = TokenServiceClient::new(database.operator(server.address).await?);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut client = client.clone();
        callers.spawn(async move {
            let mut made = Vec::new();
            for number in (caller..count).step_by(CALLERS) {
                let request = v1::CreateTokenRequest {
                    workspace: WORKSPACE.to_owned(),
                    name: name(number),
                    scopes: scopes(number),
                    ..Default::default()
                };
                made.push(client.create_token(request).await?.into_inner().secret);
            }
            Ok::<_, Status>(made)
        });
    }
    let mut secrets = Vec::with_capacity(count);
    while let Some(made) = callers.join_next().await {
        secrets.extend(made??);
    }
    Ok(secrets)
}

async fn introspect(client: &Tokens, secrets: &[String]) -> Outcome<()> {
    let mut client = client.clone();
    for batch in secrets.chunks(BATCH) {
        let ask = |token: &String| v1::IntrospectTokenRequest { token: token.clone(), ..Default::default() };
        let request = v1::BatchIntrospectTokensRequest { requests: batch.iter().map(ask).collect() };
        let outcomes = client.batch_introspect_tokens(request).await?.into_inner().outcomes;
        let live =
            |outcome: &Option<Judged>| matches!(outcome, Some(Judged::Answer(answer)) if answer.active);
        if !outcomes.iter().all(|outcome| live(&outcome.outcome)) {
            return Err("a wrong verdict".into());
        }
    }
    Ok(())
}
