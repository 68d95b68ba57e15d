//! The course of a cache: which history it follows, how far, and by what lease.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use super::floors::Subject;
use super::shard::Shard;
use super::slot::{Entry, Epoch};
use super::{Cache, lock, nanoseconds};
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::lease::{Lease, Offer};
use crate::revocation::{Change, Event, HistoryId, Position, TokenChange};

/// What is followed.
#[derive(Debug, Default)]
pub(super) struct Course {
    epoch: Epoch,
    applied: Option<Position>,
    lease: Lease,
}

impl Course {
    /// How far the log is applied, if it is this history that is followed.
    fn follows(&self, history: HistoryId) -> Option<Position> {
        self.applied.filter(|applied| applied.history == history)
    }
}

/// How far the log was applied at some moment, to say of what was learned at the source right after.
#[derive(Debug, Clone, Copy)]
pub struct AsOf {
    epoch: Epoch,
    applied: Position,
}

impl AsOf {
    /// The history that was followed.
    #[must_use]
    pub const fn history(self) -> HistoryId {
        self.applied.history
    }
}

impl Cache {
    /// Up to where everything is applied, if a lease is held at `now`: the right to give an answer of one's own.
    #[must_use]
    pub fn standing(&self, now: BootTime) -> Option<Position> {
        let course = self.course();
        course.applied.filter(|_| course.lease.until() > now)
    }

    /// Up to where everything is applied; `None` before [`Cache::follow`].
    #[must_use]
    pub fn applied(&self) -> Option<Position> {
        self.course().applied
    }

    /// How far everything is applied now; `None` before [`Cache::follow`]. To be asked before the source is.
    #[must_use]
    pub fn as_of(&self) -> Option<AsOf> {
        let course = self.course();
        course.applied.map(|applied| AsOf { epoch: course.epoch, applied })
    }

    /// Whether what the source told of a subject holds still: nothing that is known by now has changed it since.
    #[must_use]
    pub fn holds(&self, subject: Subject<'_>, as_of: AsOf) -> bool {
        let course = self.course();
        course.epoch == as_of.epoch && !self.floors.rose_above(as_of.applied.revision, subject)
    }

    /// Begins to follow the log from here, be it for the first time, in a new history, or after a part was missed: what
    /// was known is unverified, the lease is lost.
    pub fn follow(&self, from: Position) {
        self.restart(Some(from), |_| {});
    }

    /// Takes the next change of a history into account. Changes come in order, from one follower; one of another history
    /// than is followed is passed over.
    pub fn apply(&self, history: HistoryId, event: &Event) {
        let mut course = self.course();
        let Some(applied) = course.follows(history) else { return };
        let revision = event.revision.max(applied.revision);
        let shards = self.take_in(event);
        self.applied.store(revision.0, Ordering::Release);
        drop(shards);
        self.reach(&mut course, Position { revision, ..applied });
    }

    /// Nothing that concerns this cache happened up to a revision of the history that is followed.
    pub fn advance(&self, to: Position) {
        let mut course = self.course();
        if course.follows(to.history).is_some_and(|applied| applied.revision < to.revision) {
            self.applied.store(to.revision.0, Ordering::Release);
            self.reach(&mut course, to);
        }
    }

    /// Takes a change into account that was committed here and is not applied in order yet.
    pub fn overtake(&self, event: &Event) {
        if !seeded(Defect::OwnChangesNotOvertaken) {
            drop(self.take_in(event));
        }
    }

    /// Ends what is known from before a change: of the tokens it names, whose shards are given locked, or by a floor of all
    /// that it concerns. Only after that may it be said to be applied.
    fn take_in(&self, event: &Event) -> Vec<MutexGuard<'_, Shard>> {
        let change = &event.event.change;
        if let Some(subject) = Subject::of(change).filter(|_| !keeps(change)) {
            self.floors.raise(subject, event.revision);
        }
        let mut shards = self.shards_of(change.tokens());
        for token in change.tokens() {
            let shard = shards.iter_mut().find(|(place, _)| *place == self.place(*token));
            if let Some((_, shard)) = shard
                && !passed_over(change, shard)
            {
                shard.change(*token, event.revision);
            }
        }
        shards.into_iter().map(|(_, shard)| shard).collect()
    }

    /// Takes into account that a change at `to` concerns every token of a subject: what was learned from before is not
    /// answered from any more. If it is the next change, [`Cache::advance`] follows.
    pub fn raise_floor(&self, subject: Subject<'_>, to: Position) {
        let course = self.course();
        if course.follows(to.history).is_some() {
            self.floors.raise(subject, to.revision);
        }
    }

    /// Takes a lease.
    pub fn offer(&self, offer: Offer) {
        let mut course = self.course();
        if let Some(applied) = course.applied {
            course.lease.offer(offer, applied);
            self.publish(&course.lease);
        }
    }

    /// Gives the lease up.
    pub fn lose_lease(&self) {
        let mut course = self.course();
        course.lease.lose();
        self.publish(&course.lease);
    }

    /// Forgets everything, the lease included, and what it followed.
    pub fn empty(&self) {
        self.restart(None, Shard::clear);
        self.common.clear();
    }

    /// Begins another epoch, while nobody looks.
    fn restart(&self, from: Option<Position>, each: impl Fn(&mut Shard)) {
        let mut course = self.course();
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        let epoch = if seeded(Defect::HistoryKeepsEntries) { course.epoch } else { course.epoch.next() };
        *course = Course { epoch, applied: from, lease: Lease::default() };
        self.publish(&course.lease);
        self.applied.store(from.map_or(0, |from| from.revision.0), Ordering::Release);
        self.floors.reset();
        for shard in &mut shards {
            shard.restart(course.epoch, from.map(|from| from.history));
            each(shard);
        }
    }

    /// Everything up to a position is applied.
    fn reach(&self, course: &mut Course, applied: Position) {
        course.applied = Some(applied);
        course.lease.applied(applied);
        self.publish(&course.lease);
    }

    fn publish(&self, lease: &Lease) {
        self.until.store(nanoseconds(lease.until()), Ordering::Release);
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        lock(&self.course)
    }
}

/// Whether a seeded defect makes a change of a token in a shard pass for none.
fn passed_over(change: &Change, shard: &mut Shard) -> bool {
    let Change::Token { token, generation, what, .. } = change else { return false };
    match what {
        TokenChange::Suspended { .. } => seeded(Defect::SuspensionIgnored),
        TokenChange::Revoked { .. } | TokenChange::Resumed => false,
        TokenChange::SecretReplaced { overlap_end: None } if seeded(Defect::EndOverlapIgnored) => {
            let ends = |entry: &Entry| entry.deadline.time().is_some();
            shard.find(*token, |entry| entry.record.generation < *generation && ends(entry)).is_some()
        }
        TokenChange::SecretReplaced { .. } => seeded(Defect::ReplacedSecretKept),
        TokenChange::Updated => seeded(Defect::UpdatesIgnored),
    }
}

/// Whether a seeded defect makes a floor not be raised.
fn keeps(change: &Change) -> bool {
    match change {
        Change::PrincipalChanged { .. } => seeded(Defect::PrincipalFloorIgnored),
        Change::WorkspaceInvalidated { .. } | Change::WorkspaceUpdated { .. } => {
            seeded(Defect::WorkspaceFloorIgnored)
        }
        Change::BulkRevoked { .. } => seeded(Defect::BulkFloorIgnored),
        Change::Token { .. } | Change::ProfileUpdated { .. } | Change::KeyRetired { .. } => false,
    }
}
