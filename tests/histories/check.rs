//! The judgement over a recorded history: pure functions, each of one promise.

mod accounts;
mod aftermath;
mod answers;
mod ends;
mod groups;
mod linear;
mod principals;
mod state;
mod streams;
mod tokens;
mod uses;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::moment::Moment;
use tokens::Tokens;

/// A promise that was not kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Violation {
    pub promise: Promise,
    /// When the operation or frame that shows it was invoked or came.
    pub at: Moment,
    /// What was seen, and what should have been.
    pub story: String,
}

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Promise {
    /// A strong introspection knows every change that was acknowledged before it was invoked.
    Strong,
    /// Any introspection knows every change that was acknowledged a lease before it was invoked.
    WithinLease,
    /// Any introspection knows every change that the fleet had confirmed before it was invoked.
    Confirmed,
    /// A server knows every change that it has acknowledged itself.
    OwnChanges,
    /// An introspection knows every change up to the revision that it asks for.
    AtLeast,
    /// Some order of a token's operations explains every strong answer.
    Linearizable,
    /// A live token is never said to be anything else.
    NeverDeniedAlive,
    /// An answer is what the token was at the answer's revision.
    True,
    /// A token works up to its expiry and not a moment longer.
    Expiry,
    /// A caller whose token lives is never refused for it, and nothing fails by a defect.
    Served,
    /// The log is contiguous.
    Contiguous,
    /// What was acknowledged is in the log and in the tables.
    Durable,
    /// What was done is done once; what was refused is not done.
    ExactlyOnce,
    /// Events come in the order of the log, each as the log has it.
    Ordered,
    /// No event comes twice.
    Unique,
    /// No event is left out.
    Reliable,
    /// A resumed stream continues right after the frame it resumes from.
    Resumable,
    /// When a stream says that it has told everything up to a revision, it has.
    Bookmarkable,
    /// A watcher of one workspace is told of no other.
    Filtered,
    /// While nothing fails, an event is told soon after the change was acknowledged.
    Prompt,
    /// A cursor of another history is refused.
    HistorySafe,
    /// A stream never ends well, nor by a defect.
    EndsWithReason,
    /// Once every fault is over, everybody soon agrees with the database.
    Converges,
    /// No session is left idle in a transaction.
    NoneIdle,
    /// No program ends unasked, or panics.
    Stands,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} at {}: {}", self.promise, self.at.0, self.story)
    }
}

/// Every promise that the history breaks, in the order in which it shows.
pub fn check(history: &History) -> Vec<Violation> {
    let tokens = Tokens::of(history);
    let mut violations = answers::check(history, &tokens);
    violations.extend(accounts::check(history, &tokens));
    violations.extend(linear::check(history));
    violations.extend(streams::check(history));
    violations.extend(aftermath::check(history));
    violations.sort_by_key(|violation| violation.at);
    violations
}
