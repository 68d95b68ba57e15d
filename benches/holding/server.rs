//! A server process that comes to know tokens.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::introspection_outcome::Outcome as Judged;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;

use crate::measure::database::{FIRST, PrivateDatabase};
use crate::measure::minted::{Minted, Minting, mint};
use crate::measure::page::Outcome;
use crate::measure::served::{ServedDatabase, Tokens};

const BATCH: usize = 100;

/// So many are introspected before it is looked how large the server is, so that it has what it needs to serve at all.
const FIRST_FEW: usize = 2_000;

/// By how many bytes a server grows for each of so many tokens that it comes to know.
pub(crate) async fn bytes_per_token(private: &PrivateDatabase, tokens: usize) -> Outcome<f64> {
    let database = ServedDatabase::prepare(private, FIRST).await?;
    let first = database.serve(&[])?;
    database.create_workspace(first.address).await?;
    drop(first);
    let minted = mint(private, &database, Minting::of(tokens + FIRST_FEW)).await?;
    let server = database.serve(&[])?;
    let client = TokenServiceClient::new(database.operator(server.address).await?);
    let (first, rest) = minted.split_at(FIRST_FEW);
    introspect(&client, first).await?;
    let before = server.resident_memory()?;
    introspect(&client, rest).await?;
    Ok((server.resident_memory()? - before) * 1024.0 * 1024.0 / f64::from(u32::try_from(rest.len())?))
}

async fn introspect(client: &Tokens, minted: &[Minted]) -> Outcome<()> {
    let mut client = client.clone();
    for batch in minted.chunks(BATCH) {
        let ask = |minted: &Minted| v1::IntrospectTokenRequest {
            token: minted.secret.clone(),
            ..Default::default()
        };
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
