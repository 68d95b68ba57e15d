//! The bytes that are written are those of the generated messages, whatever is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::introspection::{Extras, InactiveReason};
use crate::profile::{Audience, ProfileName, TokenType};
use crate::rpc::answers::introspection;
use crate::text::{Handle, Metadata, Name, PrincipalId};
use crate::token::{Audiences, Cidrs, ExternalId, Generation, Revision, ScopeSet, TokenId};
use crate::workspace::WorkspaceId;

/// The words and numbers of a record.
type Words =
    (Vec<String>, Vec<String>, Vec<String>, Vec<String>, BTreeMap<String, String>, [Option<u32>; 4], i64);

fn words() -> impl Strategy<Value = Words> {
    (
        vec("[a-z]{1,9}(:[a-z]{1,60})?", 0..5),
        vec("[a-z]{3,20}", 1..3),
        vec("[a-z]{1,9}", 0..3),
        vec("[a-z]{1,9}", 0..3),
        btree_map("[a-z]{1,9}", "\\PC{0,100}", 0..3),
        [
            option::of(any::<u32>()),
            option::of(any::<u32>()),
            option::of(any::<u32>()),
            option::of(any::<u32>()),
        ],
        any::<i64>(),
    )
}

fn scopes(texts: &[String]) -> Vec<Scope> {
    texts.iter().map(|text| Scope::parse(text.clone()).unwrap()).collect()
}

fn record((scopes, names, principals, audiences, metadata, numbers, large): Words) -> Record {
    let [expire, create, number, kind] = numbers;
    let time = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
    let audiences = audiences.into_iter().map(|text| Audience::parse(text).unwrap()).collect();
    Record {
        id: TokenId::generate(),
        workspace: Arc::new(WorkspaceId::parse(names[0].clone()).unwrap()),
        name: Name::parse(names.concat()).unwrap(),
        principal: principals.first().map(|text| Arc::new(PrincipalId::parse(text.clone()).unwrap())),
        username: principals.get(1).map(|text| Arc::new(Handle::parse(text.clone()).unwrap())),
        token_type: match kind {
            None => TokenType::Custom,
            Some(kind) if kind.is_multiple_of(2) => TokenType::ReadOnly,
            Some(_) => TokenType::FullAccess,
        },
        scopes: Arc::new(ScopeSet::new(self::scopes(&scopes)).unwrap()),
        external_id: number.and_then(|number| ExternalId::parse(number.into()).ok()),
        profile: Some(Arc::new(ProfileName::parse("whatever".to_owned()).unwrap())),
        extras: Arc::new(Extras {
            audiences: Audiences::new(audiences).unwrap(),
            allowed_cidrs: Cidrs::default(),
            metadata: Metadata::parse(metadata).unwrap(),
        }),
        expire_time: expire.map(|seconds| time(seconds).into()),
        create_time: time(create.unwrap_or_default()).into(),
        generation: Generation(kind.unwrap_or(1).cast_signed()),
        revision: Revision(large),
    }
}

fn active(words: Words, missing: &[String]) -> Verdict {
    Verdict::Active { record: Arc::new(record(words)), missing: scopes(missing) }
}

fn again(verdict: &Verdict) -> Verdict {
    match verdict {
        Verdict::Inactive(reason) => Verdict::Inactive(*reason),
        Verdict::Active { record, missing } => {
            Verdict::Active { record: Arc::clone(record), missing: missing.clone() }
        }
    }
}

proptest! {
    #[test]
    fn a_verdict_is_written_as_the_generated_message_is(words in words(), missing in vec("[a-z]{1,9}", 0..3), include: bool) {
        let verdict = active(words, &missing);
        let generated = introspection::verdict(&verdict, include).encode_to_vec();
        let written = super::verdict(&verdict, include);
        prop_assert_eq!(written.message(), generated);
    }

    #[test]
    fn the_outcomes_of_a_batch_are_too(all in vec((words(), any::<bool>()), 0..5)) {
        let failure = || Err(status::failure(&Error::LeaseLost));
        let mut items: Vec<Result<_, v1::IntrospectionFailure>> =
            all.into_iter().map(|(words, include)| Ok((active(words, &[]), include))).collect();
        items.push(failure());
        items.push(Ok((Verdict::Inactive(Some(InactiveReason::Revoked)), false)));
        let copies = items.iter().map(|item| match item {
            Ok((verdict, include)) => Ok((again(verdict), *include)),
            Err(_) => failure(),
        });
        let generated = introspection::batch(copies.collect::<Vec<_>>().into_iter()).encode_to_vec();
        let written = outcomes(items.into_iter());
        prop_assert_eq!(written.message(), generated);
    }
}

#[test]
fn a_dead_token_is_told_with_and_without_its_reason() {
    for reason in [None, Some(InactiveReason::Expired), Some(InactiveReason::OtherAddress)] {
        let generated = introspection::verdict(&Verdict::Inactive(reason), true).encode_to_vec();
        assert_eq!(verdict(&Verdict::Inactive(reason), true).message(), generated);
    }
}

#[test]
fn what_does_not_fit_into_a_batch_is_told_to_be_asked_for_again_either_way() {
    let large = "x".repeat(200);
    let metadata: BTreeMap<_, _> = (0..32).map(|place| (format!("{place:064}"), large.clone())).collect();
    let words = (vec![], vec!["acme".to_owned()], vec![], vec![], metadata, [None; 4], 0);
    let verdict = active(words, &[]);
    let items = || (0..400).map(|_| Ok((again(&verdict), true)));
    let generated = introspection::batch(items()).encode_to_vec();
    let written = outcomes(items());
    assert_eq!(written.message(), generated);
    assert!(written.message().len() < 4 << 20);
}
