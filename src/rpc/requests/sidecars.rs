//! Requests of `SidecarService`.

#![expect(clippy::needless_pass_by_value, reason = "all parsers have one shape")]

use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use super::Fields;
use crate::introspection::Freshness;
use crate::proto::v1;
use crate::revocation::{HistoryId, Position};
use crate::service::{Acknowledgement, Error, Inquiry, Renewal};
use crate::text::Invalid;
use crate::token::{Generation, Revision, TokenId};
use crate::uses::{MOST_COUNTED, MOST_USES, Report, Use, Used};

/// The most tokens in one request.
pub(in crate::rpc) const MOST_TOKENS: usize = 256;

/// The longest age that is told: a use of ten years ago is none.
const LONGEST_AGE: Duration = Duration::from_hours(10 * 365 * 24);

pub(in crate::rpc) fn renew_lease(request: v1::RenewLeaseRequest) -> Result<Renewal, Error> {
    let mut fields = Fields::default();
    let sidecar = uuid(&mut fields, "sidecar_id", &request.sidecar_id);
    let applied = if request.history.is_empty() && request.applied_revision == 0 {
        Some(None)
    } else {
        let revision = ("applied_revision", request.applied_revision);
        position(&mut fields, &request.history, revision).map(Some)
    };
    let words = || Some(Renewal { sidecar: sidecar?, applied: applied? });
    fields.finish(words())
}

pub(in crate::rpc) fn acknowledge_revision(
    request: v1::AcknowledgeRevisionRequest,
) -> Result<Acknowledgement, Error> {
    let mut fields = Fields::default();
    let sidecar = uuid(&mut fields, "sidecar_id", &request.sidecar_id);
    let revision = ("applied_revision", request.applied_revision);
    let applied = position(&mut fields, &request.history, revision);
    let released = request.released;
    let words = || Some(Acknowledgement { sidecar: sidecar?, applied: applied?, released });
    fields.finish(words())
}

pub(in crate::rpc) fn resolve_tokens(
    request: v1::ResolveTokensRequest,
) -> Result<Inquiry<SecretString>, Error> {
    let mut fields = Fields::default();
    let revision = revision(&mut fields, "min_revision", request.min_revision);
    let history = fields.optional("history", request.history, parse_history);
    fields.count("tokens", request.tokens.len(), MOST_TOKENS);
    let tokens = request.tokens.into_iter().map(SecretString::from).collect();
    let freshness = if request.strong { Freshness::Strong } else { Freshness::AtLeast(revision) };
    let words = || Some(Inquiry { tokens, history: history?, freshness });
    fields.finish(words())
}

pub(in crate::rpc) fn revalidate_tokens(
    request: v1::RevalidateTokensRequest,
) -> Result<Inquiry<(TokenId, Generation)>, Error> {
    let mut fields = Fields::default();
    let since = position(&mut fields, &request.history, ("min_revision", request.min_revision));
    fields.count("tokens", request.tokens.len(), MOST_TOKENS);
    let tokens = request.tokens.iter().take(MOST_TOKENS).enumerate().map(|(place, token)| {
        let id = fields.take(&format!("tokens[{place}].token_id"), TokenId::parse(&token.token_id));
        Some((id?, Generation(token.generation)))
    });
    let tokens: Vec<_> = tokens.collect();
    let tokens: Option<Vec<_>> = tokens.into_iter().collect();
    let words = || {
        let Position { history, revision } = since?;
        Some(Inquiry { tokens: tokens?, history: Some(history), freshness: Freshness::AtLeast(revision) })
    };
    fields.finish(words())
}

pub(in crate::rpc) fn get_profiles(
    request: v1::GetProfilesRequest,
) -> Result<(Option<HistoryId>, Revision), Error> {
    let mut fields = Fields::default();
    let revision = revision(&mut fields, "min_revision", request.min_revision);
    let history = fields.optional("history", request.history, parse_history);
    fields.finish(history.map(|history| (history, revision)))
}

pub(in crate::rpc) fn report_usage(request: v1::ReportUsageRequest) -> Result<Report<Duration>, Error> {
    let mut fields = Fields::default();
    let reporter = uuid(&mut fields, "sidecar_id", &request.sidecar_id);
    let sequence = fields.take("sequence", at_least_one(request.sequence));
    fields.count("uses", request.uses.len(), MOST_USES);
    let uses = request.uses.into_iter().take(MOST_USES).enumerate();
    let uses: Vec<_> = uses.map(|(place, used)| token_use(&mut fields, place, used)).collect();
    let uses: Option<Vec<_>> = uses.into_iter().collect();
    let words = || Some(Report { reporter: reporter?, sequence: sequence?, uses: uses? });
    fields.finish(words())
}

fn token_use(fields: &mut Fields, place: usize, used: v1::TokenUse) -> Option<Use<Duration>> {
    let path = |field: &str| format!("uses[{place}].{field}");
    let token = fields.take(&path("token_id"), TokenId::parse(&used.token_id));
    let age = Duration::try_from(used.age.unwrap_or_default()).ok().filter(|age| *age <= LONGEST_AGE);
    let last = fields.take(&path("age"), age.ok_or(Invalid::Malformed("from 0 s to 10 years")));
    let generation = fields.take(&path("generation"), at_least_one(used.generation));
    let counted = (1..=MOST_COUNTED).contains(&used.count).then_some(used.count);
    let count = fields.take(&path("count"), counted.ok_or(Invalid::Malformed("from 1 to 1,000,000,000,000")));
    let secret = Used::Live(Generation(generation?));
    Some(Use { token: token?, secret, count: count?, last: last? })
}

fn at_least_one<Number: PartialOrd + From<i32>>(number: Number) -> Result<Number, Invalid> {
    if number >= Number::from(1) { Ok(number) } else { Err(Invalid::Malformed("1 or more")) }
}

fn uuid(fields: &mut Fields, path: &str, text: &str) -> Option<Uuid> {
    fields.take(path, TokenId::parse(text)).map(|id| id.as_uuid())
}

fn parse_history(text: String) -> Result<HistoryId, Invalid> {
    TokenId::parse(&text).map(|id| HistoryId(id.as_uuid()))
}

fn revision(fields: &mut Fields, path: &str, number: i64) -> Revision {
    if number < 0 {
        fields.note(path, Invalid::Malformed("0 or more"));
    }
    Revision(number)
}

fn position(fields: &mut Fields, history: &str, (path, number): (&str, i64)) -> Option<Position> {
    let history = fields.take("history", parse_history(history.to_owned()));
    let revision = revision(fields, path, number);
    Some(Position { history: history?, revision })
}
