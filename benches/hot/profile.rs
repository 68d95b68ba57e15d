//! What callgrind wrote down of one thread.

use std::collections::BTreeMap;
use std::path::Path;

use crate::measure::page::Outcome;

/// SHA-256's compression, which callgrind has to run without the processor's own instructions for it, and so at some thirty
/// times its length: it is shown, but not counted.
const COMPRESSION: &str = "sha2::sha256::";

/// The functions by which memory is asked for.
const ALLOCATING: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];

/// What a thread did: the instructions of each function itself, and how often it was called.
#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) instructions: BTreeMap<String, u64>,
    calls: BTreeMap<String, u64>,
}

impl Profile {
    /// The busiest of the threads whose counts were dumped into files of this name.
    pub(crate) fn of_busiest_thread(directory: &Path, name: &str) -> Outcome<Self> {
        let mut busiest = Self::default();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(name) {
                let profile = Self::parse(&std::fs::read_to_string(entry.path())?)?;
                if profile.total() > busiest.total() {
                    busiest = profile;
                }
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(busiest)
    }

    /// Reads callgrind's format, with names written out and lines of source left out.
    fn parse(text: &str) -> Outcome<Self> {
        let (mut profile, mut function) = (Self::default(), String::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("fn=") {
                name.clone_into(&mut function);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                let calls = lines.find_map(|line| line.strip_prefix("calls=")).ok_or("no calls")?;
                let calls: u64 = calls.split(' ').next().unwrap_or_default().parse()?;
                *profile.calls.entry(plain(name)).or_default() += calls;
                // The next line is what the callee cost, which stands among its own.
                lines.next();
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let cost = line.split(' ').nth(1).map_or(Ok(0), str::parse::<u64>)?;
                *profile.instructions.entry(plain(&function)).or_default() += cost;
            }
        }
        Ok(profile)
    }

    fn total(&self) -> u64 {
        self.instructions.values().sum()
    }

    /// The instructions without those of the compression.
    pub(crate) fn instructions(&self) -> u64 {
        let others = self.instructions.iter().filter(|(function, _)| !function.starts_with(COMPRESSION));
        others.map(|(_, instructions)| instructions).sum()
    }

    /// How often memory was asked for.
    pub(crate) fn allocations(&self) -> u64 {
        ALLOCATING.iter().filter_map(|function| self.calls.get(*function)).sum()
    }
}

/// The name of a function without what the compiler added to tell copies of it apart.
fn plain(name: &str) -> String {
    name.split_once('\'').map_or(name, |(plain, _)| plain).to_owned()
}
