//! What is told of a run, and what is kept of a failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::check::Violation;
use crate::faults::Fault;
use crate::history::{Answer, Call, Change, History, Node};
use crate::world::World;

/// Counts over many histories.
#[derive(Default)]
pub struct Totals {
    histories: u64,
    failed: Vec<u64>,
    /// Operations by what was asked and what came of it.
    operations: BTreeMap<(&'static str, &'static str), u64>,
    frames: usize,
    streams: usize,
    resumed: usize,
    changes: usize,
    promotions: usize,
    converged: Vec<Duration>,
}

impl Totals {
    pub fn add(&mut self, seed: u64, history: &History, violations: &[Violation]) {
        self.histories += 1;
        if !violations.is_empty() {
            self.failed.push(seed);
        }
        for operation in &history.operations {
            let asked = asked(operation.node, &operation.call);
            *self.operations.entry((asked, came(&operation.answer))).or_default() += 1;
        }
        self.frames += history.streams.iter().map(|stream| stream.frames.len()).sum::<usize>();
        self.streams += history.streams.len();
        let resumed =
            history.streams.iter().filter(|stream| stream.resumes.is_some() && !stream.frames.is_empty());
        self.resumed += resumed.count();
        self.changes += history.log.len();
        self.promotions += history.renewals.len();
        self.converged.extend(history.aftermath.converged.iter().filter_map(|(_, took)| *took));
    }

    pub fn print(&mut self) {
        println!("{} histories, {} with violations {:?}", self.histories, self.failed.len(), self.failed);
        println!("{} changes in the logs, {} histories renewed", self.changes, self.promotions);
        println!("{} streams ({} resumed), {} frames", self.streams, self.resumed, self.frames);
        for ((asked, came), count) in &self.operations {
            println!("{asked:>26} {came:<10} {count}");
        }
        self.converged.sort_unstable();
        let at = |percent: usize| self.converged.get((self.converged.len().max(1) - 1) * percent / 100);
        println!(
            "agreed after the last fault: p50 {:?}, p99 {:?}, max {:?}",
            at(50),
            at(99),
            self.converged.last()
        );
    }

    pub fn is_clean(&self) -> bool {
        self.failed.is_empty()
    }
}

const fn asked(node: Node, call: &Call) -> &'static str {
    match (node, call) {
        (_, Call::Create { .. }) => "create",
        (_, Call::CreatePrincipal { .. }) => "create principal",
        (_, Call::ChangePrincipal { fleet: true, .. }) => "change principal FLEET",
        (_, Call::ChangePrincipal { .. }) => "change principal",
        (_, Call::Invalidate { dry: true, .. }) => "invalidate workspace dry",
        (_, Call::Invalidate { fleet: true, .. }) => "invalidate workspace FLEET",
        (_, Call::Invalidate { .. }) => "invalidate workspace",
        (Node::Server(_), Call::Introspect { .. }) => "introspect at server",
        (Node::Sidecar(_), Call::Introspect { .. }) => "introspect at sidecar",
        (_, Call::RevokeGroup { dry: true, .. }) => "revoke group dry",
        (_, Call::RevokeGroup { fleet: true, .. }) => "revoke group FLEET",
        (_, Call::RevokeGroup { .. }) => "revoke group",
        (_, Call::Repeat { .. }) => "repeat",
        (_, Call::Change { change: Change::Overlapped, .. }) => "regenerate with overlap",
        (_, Call::Change { change: Change::Suspended, .. }) => "suspend",
        (_, Call::Change { change: Change::Resumed, .. }) => "resume",
        (_, Call::Change { change: Change::OverlapEnded, .. }) => "end overlap",
        (_, Call::Change { fleet: true, .. }) => "revoke FLEET",
        (_, Call::Change { .. }) => "change",
        (_, Call::Await { .. }) => "wait for revision",
    }
}

const fn came(answer: &Answer) -> &'static str {
    match answer {
        Answer::Unknown => "unknown",
        Answer::Refused(_) => "refused",
        Answer::Active { .. } => "active",
        Answer::Inactive(_) => "inactive",
        Answer::Same(true) => "same",
        Answer::Same(false) => "another",
        Answer::Done | Answer::Created { .. } | Answer::Changed { confirmed: false, .. } => "done",
        Answer::Changed { confirmed: true, .. } | Answer::Awaited { confirmed: true } => "confirmed",
        Answer::Awaited { confirmed: false } => "not yet",
    }
}

/// Keeps everything that a failure may be understood from, and says where.
pub fn keep(
    world: &World,
    at: &Path,
    faults: &[Fault],
    history: &History,
    violations: &[Violation],
) -> PathBuf {
    let directory = keep_logs(world, at);
    let lines = |lines: Vec<String>| lines.join("\n") + "\n";
    let history = serde_json::to_vec(history).unwrap();
    fs::write(directory.join("history.json"), history).unwrap();
    let told = violations.iter().map(ToString::to_string).collect();
    fs::write(directory.join("violations.txt"), lines(told)).unwrap();
    fs::write(directory.join("faults.txt"), lines(faults.iter().map(ToString::to_string).collect())).unwrap();
    directory
}

/// Keeps the logs of all programs, and says where.
pub fn keep_logs(world: &World, at: &Path) -> PathBuf {
    let directory = at.join(&world.database);
    fs::remove_dir_all(&directory).ok();
    fs::create_dir_all(&directory).unwrap();
    let copy = |from: &Path| fs::copy(from, directory.join(from.file_name().unwrap())).ok();
    for entry in fs::read_dir(&world.directory).unwrap().map_while(Result::ok) {
        copy(&entry.path());
    }
    for entry in fs::read_dir(world.ground.directory.path()).unwrap().map_while(Result::ok) {
        let log = entry.path().join("postgres.log");
        fs::copy(log, directory.join(entry.file_name()).with_extension("log")).ok();
    }
    directory
}
