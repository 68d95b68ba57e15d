//! What a token is at a revision, and what each row of the log makes of it.

use super::principals::Held;
use crate::moment::Moment;

/// What a row does to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect<'h> {
    Revoked,
    Replaced {
        /// Until when the old secret works on.
        overlap_end: Option<Moment>,
    },
    OverlapEnded,
    /// Whether it is, from now on.
    Suspended(bool),
    /// The version of the scopes, if an acknowledgement tells.
    Updated(Option<u32>),
    /// What its principal is from now on.
    Held(Held),
    /// Another principal, and what that is.
    HandedOver(&'h str, Held),
    /// Its principal has ended, and it with it.
    Deleted,
    /// Its secret is dead, if it was issued before: which is not certain of one that was being issued.
    Invalidated {
        surely: bool,
    },
    /// Nothing that is known.
    Nothing,
}

/// What a token is at a revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub generation: i32,
    /// The secret that was replaced, and until when it works on.
    pub previous: Option<Previous>,
    pub revoked: bool,
    pub suspended: bool,
    pub invalidated: bool,
    /// `None` if nobody was told.
    pub version: Option<u32>,
    pub held: Option<Held>,
}

/// A secret that was replaced and works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Previous {
    pub generation: i32,
    pub until: Moment,
    pub invalidated: bool,
}

impl State {
    /// A token of which nothing has become yet.
    pub(super) const fn born(held: Option<Held>) -> Self {
        Self {
            generation: 1,
            previous: None,
            revoked: false,
            suspended: false,
            invalidated: false,
            version: Some(0),
            held,
        }
    }

    pub(super) fn take(&mut self, effect: Effect<'_>, generation: i32) {
        match effect {
            Effect::Revoked | Effect::Deleted => self.revoked = true,
            Effect::Replaced { overlap_end } => {
                let (old, invalidated) = (self.generation, self.invalidated);
                self.previous = overlap_end.map(|until| Previous { generation: old, until, invalidated });
                (self.generation, self.invalidated) = (generation, false);
            }
            Effect::OverlapEnded => self.previous = None,
            Effect::Suspended(suspended) => self.suspended = suspended,
            Effect::Updated(version) => self.version = version,
            Effect::Held(held) | Effect::HandedOver(_, held) => self.held = Some(held),
            Effect::Invalidated { surely } => {
                self.invalidated |= surely;
                self.previous = self.previous.filter(|_| !surely);
            }
            Effect::Nothing => {}
        }
    }

    /// The secret that was replaced, if it is of this generation and was to work on.
    pub(super) fn overlapping(&self, generation: i32) -> Option<Previous> {
        self.previous.filter(|previous| previous.generation == generation)
    }

    /// Why a secret of a generation does not live; that an overlap ends with time is not looked at.
    pub(super) fn end_of(&self, generation: i32) -> Option<&'static str> {
        let overlapping = self.overlapping(generation);
        let invalidated = overlapping.map_or(self.invalidated, |previous| previous.invalidated);
        let ends = [
            (self.revoked, "revoked"),
            (self.suspended, "suspended"),
            (self.generation > generation && overlapping.is_none(), "replaced"),
            (invalidated, "invalidated"),
            (self.held.is_some_and(|held| held.disabled), "held back by its principal"),
        ];
        ends.into_iter().find(|(ended, _)| *ended).map(|(_, how)| how)
    }
}
