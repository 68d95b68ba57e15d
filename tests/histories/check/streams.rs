//! Judges each stream against the log, in etcd's words.

use std::time::Duration;

use super::{Promise, Violation};
use crate::history::{Answer, Content, Frame, History, LogRow, Stream};
use crate::moment::Moment;

/// How soon a change is told when nothing fails, on a machine with much else to do. A poll is to come every 100 ms.
const PROMPT: Duration = Duration::from_millis(1_500);

pub(super) fn check(history: &History) -> Vec<Violation> {
    history.streams.iter().flat_map(|stream| Judged { stream, history }.check()).collect()
}

/// Whether a watcher of a workspace, or of all, is told of a change in another; what has none is everybody's business.
fn is_told(watched: Option<&str>, workspace: &str) -> bool {
    workspace.is_empty() || watched.is_none_or(|only| only == workspace)
}

struct Judged<'h> {
    stream: &'h Stream,
    history: &'h History,
}

impl<'h> Judged<'h> {
    fn check(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        violations.extend(self.foreign_cursor());
        violations.extend(self.ended());
        // Where it begins: after the cursor's frame, or at the progress frame that comes first.
        let mut told = self.stream.resumes.map(|(revision, _)| revision);
        for (number, frame) in self.stream.frames.iter().enumerate() {
            violations.extend(self.frame(frame, told, number));
            told = Some(told.unwrap_or(frame.revision).max(frame.revision));
        }
        violations.extend(self.confirmed());
        violations.extend(self.late());
        violations
    }

    fn violation(&self, promise: Promise, at: Moment, story: &str) -> Violation {
        let Stream { watcher, node, workspace, invoke, resumes, .. } = self.stream;
        let stream = format!(
            "watcher {watcher} at {node}, workspace {workspace:?}, opened {invoke:?}, from {resumes:?}"
        );
        Violation { promise, at, story: format!("{story}; {stream}") }
    }

    /// The rows of the log that the stream tells of.
    fn rows(&self) -> impl Iterator<Item = &'h LogRow> {
        let workspace = self.stream.workspace.as_deref();
        self.history.log.iter().filter(move |row| is_told(workspace, &row.workspace))
    }

    /// One frame, given up to where the stream has told everything.
    fn frame(&self, frame: &Frame, told: Option<i64>, number: usize) -> Option<Violation> {
        let violation =
            |promise, story: &str| Some(self.violation(promise, frame.at, &format!("{story}: {frame:?}")));
        let Some(told) = told else {
            let begins = matches!(frame.content, Content::Progress { .. });
            return if begins {
                None
            } else {
                violation(Promise::Bookmarkable, "the first frame is no progress")
            };
        };
        let skipped = match frame.content {
            Content::Event { .. } => {
                self.rows().find(|row| told < row.revision && row.revision < frame.revision)
            }
            Content::Progress { .. } => {
                self.rows().find(|row| told < row.revision && row.revision <= frame.revision)
            }
        };
        if let Some(row) = skipped {
            let promise = match frame.content {
                _ if number == 0 && self.stream.resumes.is_some() => Promise::Resumable,
                Content::Event { .. } => Promise::Reliable,
                Content::Progress { .. } => Promise::Bookmarkable,
            };
            return violation(promise, &format!("told up to {told}, then past {row:?}"));
        }
        match &frame.content {
            Content::Progress { .. } if frame.revision < told => violation(Promise::Ordered, "back in time"),
            Content::Event { .. } if frame.revision <= told => {
                violation(Promise::Unique, &format!("told up to {told} before"))
            }
            Content::Event { .. } => self.event(frame),
            Content::Progress { .. } => None,
        }
    }

    /// An event is as the log has it, and the watcher's business.
    fn event(&self, frame: &Frame) -> Option<Violation> {
        let Content::Event { change, subject, workspace, generation } = &frame.content else { return None };
        if !is_told(self.stream.workspace.as_deref(), workspace) {
            return Some(self.violation(Promise::Filtered, frame.at, &format!("{frame:?}")));
        }
        let row = self.history.log.iter().find(|row| row.revision == frame.revision);
        let same = row.is_some_and(|row| {
            row.change.on_stream() == change.on_stream()
                && row.subject == *subject
                && row.workspace == *workspace
                && row.generation == *generation
        });
        (!same).then(|| {
            self.violation(Promise::Ordered, frame.at, &format!("{frame:?}, but the log has {row:?}"))
        })
    }

    /// A cursor that came before the history was renewed must not be taken after.
    fn foreign_cursor(&self) -> Option<Violation> {
        let (_, came) = self.stream.resumes?;
        let first = self.stream.frames.first()?;
        let renewal = self
            .history
            .renewals
            .iter()
            .find(|renewal| came < renewal.before && renewal.after < self.stream.invoke)?;
        Some(self.violation(Promise::HistorySafe, first.at, &format!("taken over {renewal:?}")))
    }

    fn ended(&self) -> Option<Violation> {
        let end = self.stream.end.as_deref().filter(|end| ["OK", "INTERNAL"].contains(end))?;
        let at = self.stream.frames.last().map_or(self.stream.invoke, |frame| frame.at);
        Some(self.violation(Promise::EndsWithReason, at, &format!("it ended by {end}")))
    }

    /// A change that was made while the stream was open and nothing failed, and that it did not tell of soon.
    fn late(&self) -> Option<Violation> {
        let opened = self.stream.frames.first().filter(|_| self.history.calm)?.at;
        let told = |revision: i64| {
            self.stream
                .frames
                .iter()
                .find(|frame| frame.revision >= revision)
                .map_or(Moment::NEVER, |frame| frame.at)
        };
        let changes = self.history.operations.iter().filter_map(|operation| match operation.answer {
            Answer::Changed { revision, .. } if operation.invoke > opened => {
                Some((revision, operation.returned))
            }
            _ => None,
        });
        let seen = |revision: i64| self.rows().any(|row| row.revision == revision);
        let mut late = changes.filter(|(revision, returned)| {
            let limit = returned.after(PROMPT);
            limit < self.stream.closed && seen(*revision) && told(*revision) > limit
        });
        let (revision, returned) = late.next()?;
        Some(self.violation(Promise::Prompt, returned, &format!("{revision} was told late or not at all")))
    }

    /// The second confirmed frame and those after it rest on writes that were begun after the stream was opened, so none
    /// can be from before what had been acknowledged by then.
    fn confirmed(&self) -> Option<Violation> {
        let confirmed = |frame: &&Frame| frame.content == Content::Progress { confirmed: true };
        let frame = self.stream.frames.iter().filter(confirmed).nth(1)?;
        let acknowledged = self.history.operations.iter().filter_map(|operation| match operation.answer {
            Answer::Changed { revision, .. } if operation.returned < self.stream.invoke => Some(revision),
            _ => None,
        });
        let must = acknowledged.max().filter(|must| frame.revision < *must)?;
        let story = format!("confirmed {frame:?}, though {must} was acknowledged before");
        Some(self.violation(Promise::Bookmarkable, frame.at, &story))
    }
}
