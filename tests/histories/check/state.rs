//! What a token is at a revision, and what each row of the log makes of it.

use super::principals::Held;

/// What a row does to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect<'h> {
    Revoked,
    Replaced,
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
    pub revoked: bool,
    pub invalidated: bool,
    /// `None` if nobody was told.
    pub version: Option<u32>,
    pub held: Option<Held>,
}

impl State {
    pub(super) fn take(&mut self, effect: Effect<'_>, generation: i32) {
        match effect {
            Effect::Revoked | Effect::Deleted => self.revoked = true,
            Effect::Replaced => (self.generation, self.invalidated) = (generation, false),
            Effect::Updated(version) => self.version = version,
            Effect::Held(held) | Effect::HandedOver(_, held) => self.held = Some(held),
            Effect::Invalidated { surely } => self.invalidated |= surely,
            Effect::Nothing => {}
        }
    }

    /// Why a secret of a generation does not live.
    pub(super) fn end_of(&self, generation: i32) -> Option<&'static str> {
        let ends = [
            (self.revoked, "revoked"),
            (self.generation > generation, "replaced"),
            (self.invalidated, "invalidated"),
            (self.held.is_some_and(|held| held.disabled), "held back by its principal"),
        ];
        ends.into_iter().find(|(ended, _)| *ended).map(|(_, how)| how)
    }
}
