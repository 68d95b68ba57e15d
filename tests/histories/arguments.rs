//! The command line.

use std::iter::Peekable;
use std::path::PathBuf;
use std::time::Duration;

/// What is asked for. Without arguments, a short slice that fits into every change's checks.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// That of the first history; each one after it has the next.
    pub seed: u64,
    pub histories: u64,
    /// How many mutations are sent by callers who are cut off.
    pub cut: usize,
    /// How long the clients of a history work.
    pub length: Duration,
    pub servers: usize,
    pub sidecars: usize,
    pub lease: Duration,
    /// Where failures are kept.
    pub keep: PathBuf,
    /// The program under test.
    pub program: PathBuf,
    /// Run no histories, but judge one that was kept.
    pub check: Option<PathBuf>,
    /// Whether to show that seeded defects are found.
    pub teeth: bool,
    /// The only ones to show, with commas between them; or the one that random histories are to look for.
    pub defect: Option<String>,
    /// How often each directed scenario is run.
    pub rounds: u32,
    /// How many random histories look for each defect at most.
    pub hunt: u64,
}

pub const USAGE: &str = "\
cargo test --test histories -- [--seed N] [--histories N] [--seconds N] [--servers N] [--sidecars N] [--lease MS]
                               [--program FILE] [--keep DIRECTORY] [--check FILE]
cargo test --test histories -- --cut N [--seed N] [--lease MS] [--program FILE] [--keep DIRECTORY]
cargo test --features defects --test histories -- --teeth [DEFECT,...] [--rounds N] [--hunt N]
cargo test --features defects --test histories -- --defect DEFECT [--seed N] [--histories N] ...";

/// What the runner of other tests understands, and may be said to all of them at once.
const OF_THE_RUNNER: [&str; 7] =
    ["--nocapture", "--show-output", "--quiet", "-q", "--exact", "--include-ignored", "--ignored"];

impl Arguments {
    /// Reads the command line; gives nothing if the runner of tests asked for other tests than this.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self {
            seed: 1,
            histories: 0,
            cut: 0,
            length: Duration::from_secs(5),
            servers: 3,
            sidecars: 4,
            lease: Duration::from_secs(1),
            keep: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("histories"),
            program: PathBuf::from(env!("CARGO_BIN_EXE_tokenkeep")),
            check: None,
            teeth: false,
            defect: None,
            rounds: 3,
            hunt: 0,
        };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            if word == "--list" || (!word.starts_with('-') && !"histories".contains(&word)) {
                return Ok(None);
            }
            arguments.take(&word, &mut words)?;
        }
        Ok(Some(arguments.with_some_of_each()))
    }

    /// Whoever asks for neither gets the short slice.
    fn with_some_of_each(mut self) -> Self {
        if self.histories == 0 && self.cut == 0 {
            (self.histories, self.cut) = (16, 1_000);
        }
        self
    }

    fn take(&mut self, word: &str, rest: &mut Peekable<impl Iterator<Item = String>>) -> Result<(), String> {
        if word == "--teeth" {
            self.teeth = true;
            self.defect = rest.next_if(|next| !next.starts_with('-'));
            return Ok(());
        }
        if OF_THE_RUNNER.contains(&word) || !word.starts_with('-') {
            return Ok(());
        }
        let value = rest.next().ok_or_else(|| format!("{word} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} wants a number, not {value}"));
        let count = || value.parse::<usize>().map_err(|_| format!("{word} wants a number, not {value}"));
        match word {
            "--seed" => self.seed = number()?,
            "--histories" => self.histories = number()?,
            "--cut" => self.cut = count()?,
            "--seconds" => self.length = Duration::from_secs(number()?),
            "--servers" => self.servers = count()?,
            "--sidecars" => self.sidecars = count()?,
            "--lease" => self.lease = Duration::from_millis(number()?),
            "--keep" => self.keep = PathBuf::from(value),
            "--program" => self.program = PathBuf::from(value),
            "--check" => self.check = Some(PathBuf::from(value)),
            "--defect" => self.defect = Some(value),
            "--hunt" => self.hunt = number()?,
            "--test-threads" => {}
            "--rounds" => self.rounds = u32::try_from(number()?).map_err(|_| "too many rounds".to_owned())?,
            _ => return Err(format!("unknown: {word}")),
        }
        Ok(())
    }
}
