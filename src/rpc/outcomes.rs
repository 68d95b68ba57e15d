//! An answer that holds an outcome for each of several: one that failed spoils no other.

use std::mem::{Discriminant, discriminant};

use prost::Message;

use super::{desk, status};
use crate::proto::v1;
use crate::service::Error;

/// The most bytes of outcomes in one answer: below what gRPC clients take in one message by default, 4 MiB.
pub(super) const MOST_BYTES: usize = 3 << 20;

/// Renders outcomes in their order. What does not fit any more becomes a failure to ask for again; of failures of one kind
/// the first is logged.
pub(super) fn outcomes<Done, Outcome: Message>(
    items: impl IntoIterator<Item = Result<Done, Error>>,
    done: impl Fn(Done) -> Outcome,
    failed: impl Fn(v1::IntrospectionFailure) -> Outcome,
) -> Vec<Outcome> {
    fitting(told(items), done, failed)
}

/// Puts failures into words; of those of one kind the first is logged.
pub(super) fn told<Done>(
    items: impl IntoIterator<Item = Result<Done, Error>>,
) -> impl Iterator<Item = Result<Done, v1::IntrospectionFailure>> {
    let mut logged = Vec::new();
    let mut tell = move |error: Error| {
        log_once(&mut logged, &error);
        status::failure(&error)
    };
    items.into_iter().map(move |item| item.map_err(&mut tell))
}

/// The same of failures that were logged elsewhere.
pub(crate) fn fitting<Done, Outcome: Message>(
    items: impl IntoIterator<Item = Result<Done, v1::IntrospectionFailure>>,
    done: impl Fn(Done) -> Outcome,
    failed: impl Fn(v1::IntrospectionFailure) -> Outcome,
) -> Vec<Outcome> {
    let mut bytes = 0;
    let outcomes = items.into_iter().map(|item| {
        let outcome = item.map_or_else(&failed, &done);
        bytes += outcome.encoded_len();
        if bytes <= MOST_BYTES { outcome } else { failed(status::failure(&Error::AnswerTooLarge)) }
    });
    outcomes.collect()
}

fn log_once(logged: &mut Vec<Discriminant<Error>>, error: &Error) {
    let kind = discriminant(error);
    if !logged.contains(&kind) {
        logged.push(kind);
        desk::log(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(items: Vec<Result<String, Error>>) -> Vec<Result<usize, i32>> {
        use v1::introspection_outcome::Outcome;
        let outcome = |outcome| v1::IntrospectionOutcome { outcome: Some(outcome) };
        let answer =
            |name| outcome(Outcome::Answer(v1::IntrospectTokenResponse { name, ..Default::default() }));
        let rendered = outcomes(items, answer, |failure| outcome(Outcome::Failure(failure)));
        let told = |outcome: v1::IntrospectionOutcome| match outcome.outcome.unwrap() {
            Outcome::Answer(answer) => Ok(answer.name.len()),
            Outcome::Failure(failure) => Err(failure.reason),
        };
        rendered.into_iter().map(told).collect()
    }

    #[test]
    fn outcomes_keep_their_order_and_one_that_failed_spoils_no_other() {
        let items = vec![Ok("a".to_owned()), Err(Error::LeaseLost), Ok("abc".to_owned())];
        assert_eq!(rendered(items), [Ok(1), Err(v1::ErrorReason::LeaseLost.into()), Ok(3)]);
    }

    #[test]
    fn what_does_not_fit_is_told_to_be_asked_for_again() {
        let items = (0..4).map(|_| Ok("a".repeat(1 << 20))).collect();
        let told = rendered(items);
        assert_eq!(told[..2], [Ok(1 << 20), Ok(1 << 20)]);
        assert_eq!(told[2..], [Err(v1::ErrorReason::AnswerTooLarge.into()); 2]);
    }
}
