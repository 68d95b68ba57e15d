//! Floors: what was learned before a floor was raised is not answered from any more, however much that is.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};

use crate::introspection::Record;
use crate::profile::ProfileName;
use crate::revocation::Change;
use crate::text::PrincipalId;
use crate::token::{Kid, Revision};
use crate::workspace::WorkspaceId;

/// Whose tokens a floor is raised for.
#[derive(Debug, Clone, Copy, Hash)]
pub enum Subject<'a> {
    /// All of them.
    Everything,
    /// Those of a workspace.
    Workspace(&'a WorkspaceId),
    /// Those of a principal in a workspace.
    Principal(&'a WorkspaceId, &'a PrincipalId),
    /// Those of workspaces with a profile.
    Profile(&'a ProfileName),
    /// Those issued under a server key.
    Key(Kid),
}

impl<'a> Subject<'a> {
    /// All that a change concerns, unless it names each of its tokens.
    pub(super) const fn of(change: &'a Change) -> Option<Self> {
        match change {
            Change::Token { .. } | Change::BulkRevoked { tokens: Some(_), .. } => None,
            Change::PrincipalChanged { workspace, principal } => Some(Self::Principal(workspace, principal)),
            Change::BulkRevoked { workspace, tokens: None, .. }
            | Change::WorkspaceInvalidated { workspace, .. }
            | Change::WorkspaceUpdated { workspace } => Some(Self::Workspace(workspace)),
            Change::ProfileUpdated { profile } => Some(Self::Profile(profile)),
            Change::KeyRetired { kid } => Some(Self::Key(*kid)),
        }
    }
}

/// The floors by subject, in a table of fixed size. Subjects that share a place share a floor: what that hides without
/// need is learned again.
pub(super) struct Floors {
    hasher: RandomState,
    everything: AtomicI64,
    /// The highest of all keys, since most of the time there is none.
    keys: AtomicI64,
    places: Box<[AtomicI64]>,
}

/// The places of the floors above an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Above {
    workspace: Place,
    principal: Place,
    profile: Place,
}

/// A place in the table of at most 65,536, small, since every entry has three.
#[derive(Debug, Clone, Copy)]
struct Place(u16);

impl Floors {
    /// With about as many places as tokens are known, from 64 to 65,536 of 8 bytes.
    pub(super) fn new(capacity: usize) -> Self {
        let places = capacity.clamp(1 << 6, 1 << 16).next_power_of_two();
        Self {
            hasher: RandomState::new(),
            everything: AtomicI64::new(0),
            keys: AtomicI64::new(0),
            places: std::iter::repeat_with(|| AtomicI64::new(0)).take(places).collect(),
        }
    }

    pub(super) fn raise(&self, subject: Subject<'_>, to: Revision) {
        let raise = |floor: &AtomicI64| floor.fetch_max(to.0, Ordering::AcqRel);
        self.floor_of(subject).map(raise);
        if let Subject::Key(_) = subject {
            // Last: whoever sees the highest must find the floor itself.
            raise(&self.keys);
        }
    }

    /// Whether a subject was changed since a revision, as far as is known; perhaps also if another was.
    pub(super) fn rose_above(&self, as_of: Revision, subject: Subject<'_>) -> bool {
        self.floor_of(subject).is_none_or(|floor| floor.load(Ordering::Acquire) > as_of.0)
    }

    fn floor_of(&self, subject: Subject<'_>) -> Option<&AtomicI64> {
        match subject {
            Subject::Everything => Some(&self.everything),
            Subject::Workspace(_) | Subject::Principal(..) | Subject::Profile(_) | Subject::Key(_) => {
                self.floor(self.place(subject))
            }
        }
    }

    /// Back to nothing, for another history. Nobody may look meanwhile.
    pub(super) fn reset(&self) {
        for floor in self.places.iter().chain([&self.everything, &self.keys]) {
            floor.store(0, Ordering::Release);
        }
    }

    /// The floors that will lie above what is learned of a record.
    pub(super) fn above(&self, record: &Record) -> Above {
        let workspace = self.place(Subject::Workspace(&record.workspace));
        let principal = record.principal.as_deref();
        let principal = principal
            .map_or(workspace, |principal| self.place(Subject::Principal(&record.workspace, principal)));
        let profile = record.profile.as_deref();
        let profile = profile.map_or(workspace, |profile| self.place(Subject::Profile(profile)));
        Above { workspace, principal, profile }
    }

    /// Whether what was learned `as_of` a revision lies under one of its floors. Where the key is not told, the highest
    /// floor of all keys counts.
    pub(super) fn hide(&self, above: Above, key: Option<Kid>, as_of: Revision) -> bool {
        let under = |floor: &AtomicI64| floor.load(Ordering::Acquire) > as_of.0;
        let under_place = |place| self.floor(place).is_none_or(under);
        under(&self.everything)
            || under_place(above.workspace)
            || under_place(above.principal)
            || under_place(above.profile)
            || (under(&self.keys) && key.is_none_or(|key| under_place(self.place(Subject::Key(key)))))
    }

    fn place(&self, subject: Subject<'_>) -> Place {
        let places = u64::try_from(self.places.len()).unwrap_or(1);
        Place(u16::try_from(self.hasher.hash_one(subject) % places).unwrap_or_default())
    }

    fn floor(&self, Place(place): Place) -> Option<&AtomicI64> {
        self.places.get(usize::from(place))
    }
}
