//! What streams and tables tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Change, Node};
use crate::moment::Moment;

/// One stream of `WatchRevocations`, from its opening to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stream {
    pub watcher: usize,
    pub node: Node,
    /// The only workspace watched; all of them without.
    pub workspace: Option<String>,
    pub invoke: Moment,
    /// The revision of the frame whose cursor it resumes from, and when that frame came.
    pub resumes: Option<(i64, Moment)>,
    pub frames: Vec<Frame>,
    /// When it was left, or ended.
    pub closed: Moment,
    /// How it ended: the reason, or `None` if the connection was lost or it was still open.
    pub end: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Frame {
    pub at: Moment,
    pub revision: i64,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    Event { change: Change, subject: String, workspace: String, generation: i32 },
    Progress { confirmed: bool },
}

/// The history was still the old one at `before`, and surely the new one at `after`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Renewal {
    pub before: Moment,
    pub after: Moment,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogRow {
    pub revision: i64,
    pub change: Change,
    /// Empty if it may concern any.
    pub workspace: String,
    /// The token, the principal or the profile; empty if it is the workspace.
    pub subject: String,
    /// 0 where no single token is concerned.
    pub generation: i32,
    /// Of whoever made it, if that was a change of a principal, a workspace or many tokens.
    pub mark: Option<u32>,
    /// Until when the secret works on that was replaced.
    #[serde(default)]
    pub overlap_end: Option<Moment>,
    /// The tokens that ended at once, as their rows say.
    #[serde(default)]
    pub ended: Vec<String>,
    /// The same as the log says, if they were not too many.
    #[serde(default)]
    pub listed: Option<Vec<String>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRow {
    pub token: String,
    pub name: String,
    pub generation: i32,
    /// That of the secret that was replaced and works on.
    pub previous: Option<i32>,
    /// How often it was used, as far as that is written.
    pub uses: i64,
    pub revoked: bool,
    pub revision: i64,
    pub principal: Option<String>,
    /// Of its workspace, when its secret was issued.
    pub epoch: i32,
    /// It is suspended, its principal is disabled, or its secret invalidated.
    pub held_back: bool,
    /// The last change of it, its principal or its workspace.
    pub told: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrincipalRow {
    pub principal: String,
    pub revision: i64,
    /// What is held of it by its scopes: whether all, and of which mark.
    pub wide: bool,
    pub held: u32,
    pub disabled: bool,
    pub deleted: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkspaceRow {
    pub workspace: String,
    pub epoch: i32,
    pub revision: i64,
}

/// An end of an overlap is logged as a change of the secret that leaves its generation.
pub fn tell_overlap_ends(log: &mut [LogRow]) {
    let mut generations: BTreeMap<String, i32> = BTreeMap::new();
    for row in log.iter_mut().filter(|row| row.change == Change::SecretReplaced) {
        let before = generations.insert(row.subject.clone(), row.generation).unwrap_or(1);
        if before == row.generation {
            row.change = Change::OverlapEnded;
        }
    }
}
