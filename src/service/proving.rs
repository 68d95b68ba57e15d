//! Proving presented tokens: what each meets before anybody is asked, and what must be looked for in the database.

use std::sync::Arc;

use super::freshness::Arrival;
use super::search::Search;
use super::{Caller, Error, Service};
use crate::clock::BootTime;
use crate::introspection::{Freshness, InactiveReason, Place, Record};
use crate::keyring::Origin;
use crate::token::{Presented, PresentedText, Revision};
use crate::uses::Used;
use crate::workspace::WorkspaceId;

/// A live token.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// What is known of it.
    pub record: Arc<Record>,
    /// When it expires, or somewhat before.
    pub deadline: Option<BootTime>,
}

/// A live token, or why it is none.
pub(super) type Proved = Result<Live, InactiveReason>;

/// A presented string, and what its finder wants to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'ask> {
    /// What was presented.
    pub text: PresentedText<'ask>,
    /// Who asks; nobody when it is the caller's own token.
    pub caller: Option<&'ask Caller>,
    /// The workspace it must be of, if that matters.
    pub workspace: Option<&'ask WorkspaceId>,
    /// Where it is presented, if that is judged here.
    pub place: Option<&'ask Place>,
    /// How fresh the answer must be.
    pub freshness: Freshness,
}

/// What can be said of a presented string without asking anybody.
pub(super) enum Sight<'ask> {
    /// All that was asked.
    Proved(Proved),
    /// That it was issued here.
    Unseen(Presented<'ask>),
}

impl Question<'_> {
    /// A token that the caller does not act on is unknown to it, in whatever state it is.
    pub(super) fn admits(&self, workspace: &WorkspaceId) -> Result<(), InactiveReason> {
        if self.caller.is_some_and(|caller| !caller.acts_on(workspace)) {
            return Err(InactiveReason::Unknown);
        }
        if self.workspace.is_some_and(|wanted| wanted != workspace) {
            return Err(InactiveReason::OtherWorkspace);
        }
        Ok(())
    }

    /// Whether a live token may be used where it is presented.
    pub(super) fn suits(&self, record: &Record) -> Result<(), InactiveReason> {
        self.place.map_or(Ok(()), |place| record.suits(place))
    }
}

impl Service {
    /// What can be said without asking anybody, from nothing older than a revision, by a lease that is held `now`: at a
    /// moment after the request has arrived. A forged token gets no further. That a string is known as a whole says all that
    /// its parts would, so it is taken apart only if it is not.
    ///
    /// One that the caller does not act on is looked for in the database as if it were not known, so that it is told
    /// apart by nothing from one that is not there.
    ///
    /// # Errors
    /// [`Error::KeyUnavailable`].
    pub(super) fn at_hand<'ask>(
        &self,
        question: &Question<'ask>,
        floor: Revision,
        now: BootTime,
    ) -> Result<Sight<'ask>, Error> {
        let known = self.cache.look_up(question.text, now);
        if let Some(known) = known.filter(|known| known.applied.revision >= floor) {
            let admitted = question.admits(&known.record.workspace);
            match admitted.and_then(|()| question.suits(&known.record)) {
                Ok(()) => {
                    return Ok(Sight::Proved(Ok(Live { record: known.record, deadline: known.deadline })));
                }
                Err(InactiveReason::Unknown) => {}
                Err(reason) => return Ok(Sight::Proved(Err(reason))),
            }
        }
        let Ok(presented) = Presented::parse(question.text.expose()) else {
            return Ok(Sight::Proved(Err(InactiveReason::Malformed)));
        };
        Ok(match self.keyring.origin(&presented) {
            Origin::Issued => Sight::Unseen(presented),
            Origin::Forged => Sight::Proved(Err(InactiveReason::Forged)),
            Origin::UnknownKey => Sight::Proved(Err(self.keys.judge_absent(presented.kid)?)),
        })
    }

    /// Takes note that an answer was found at hand, and of the use of the token if it lives.
    pub(super) fn note_at_hand(&self, question: &Question<'_>, proved: &Proved, now: BootTime) {
        if let Ok(live) = proved {
            self.metrics.answer_was_cached();
            self.note_use(question, live, now);
        }
    }

    /// Takes note of the use of a live token, unless where it is presented is for the asker to judge, who then takes note.
    pub(super) fn note_use(&self, question: &Question<'_>, Live { record, .. }: &Live, time: BootTime) {
        if question.place.is_some() {
            self.last_uses.note(record.id, Used::Live(record.generation), time);
        }
    }

    /// Takes a presented string through every check.
    ///
    /// # Errors
    /// That it cannot be decided.
    pub(super) async fn prove(&self, question: Question<'_>) -> Result<Proved, Error> {
        let proved = self.prove_all(&[question]).await.pop();
        proved.unwrap_or(Err(Error::DeadlineExceeded))
    }

    /// Takes presented strings through every check, each as if it were alone; what must be asked of the database is asked
    /// at once. A forged one reaches neither the database nor argon2; one of a workspace that is not admitted is told
    /// apart by nothing, not even by the time it takes, and leaves no trace; and a replaced secret never reaches argon2.
    pub(super) async fn prove_all(&self, questions: &[Question<'_>]) -> Vec<Result<Proved, Error>> {
        let mut arrival = Arrival::now(self);
        let mut sights = Vec::with_capacity(questions.len());
        for question in questions {
            let floor = arrival.reach(question.freshness).await;
            sights.push(floor.and_then(|floor| self.at_hand(question, floor, BootTime::now())));
        }
        let unseen = sights.iter().filter_map(|sight| match sight {
            Ok(Sight::Unseen(presented)) => Some(presented.id),
            Ok(Sight::Proved(_)) | Err(_) => None,
        });
        let mut search = Search::of(self, unseen);
        let mut proved = Vec::with_capacity(questions.len());
        for (question, sight) in questions.iter().zip(sights) {
            proved.push(match sight {
                Ok(Sight::Unseen(presented)) => search.judge(question, &presented, &mut arrival).await,
                Ok(Sight::Proved(at_hand)) => {
                    self.note_at_hand(question, &at_hand, BootTime::now());
                    Ok(at_hand)
                }
                Err(error) => Err(error),
            });
        }
        proved
    }
}
