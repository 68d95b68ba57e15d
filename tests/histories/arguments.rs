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
    /// The only one to show; or the one that random histories are to look for.
    pub defect: Option<String>,
    /// How often each directed scenario is run.
    pub rounds: u32,
}

pub const USAGE: &str = "\
cargo test --test histories -- [--seed N] [--histories N] [--seconds N] [--servers N] [--sidecars N] [--lease MS]
                               [--program FILE] [--keep DIRECTORY] [--check FILE]
cargo test --features defects --test histories -- --teeth [DEFECT] [--rounds N]
cargo test --features defects --test histories -- --defect DEFECT [--seed N] [--histories N] ...";

impl Arguments {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            seed: 1,
            histories: 10,
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
        };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            arguments.take(&word, &mut words)?;
        }
        Ok(arguments)
    }

    fn take(&mut self, word: &str, rest: &mut Peekable<impl Iterator<Item = String>>) -> Result<(), String> {
        if word == "--teeth" {
            self.teeth = true;
            self.defect = rest.next_if(|next| !next.starts_with('-'));
            return Ok(());
        }
        // What the test runner of cargo is told for every test.
        if ["--nocapture", "--quiet", "-q"].contains(&word) {
            return Ok(());
        }
        let value = rest.next().ok_or_else(|| format!("{word} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} wants a number, not {value}"));
        let count = || value.parse::<usize>().map_err(|_| format!("{word} wants a number, not {value}"));
        match word {
            "--seed" => self.seed = number()?,
            "--histories" => self.histories = number()?,
            "--seconds" => self.length = Duration::from_secs(number()?),
            "--servers" => self.servers = count()?,
            "--sidecars" => self.sidecars = count()?,
            "--lease" => self.lease = Duration::from_millis(number()?),
            "--keep" => self.keep = PathBuf::from(value),
            "--program" => self.program = PathBuf::from(value),
            "--check" => self.check = Some(PathBuf::from(value)),
            "--defect" => self.defect = Some(value),
            "--rounds" => self.rounds = u32::try_from(number()?).map_err(|_| "too many rounds".to_owned())?,
            _ => return Err(format!("unknown: {word}")),
        }
        Ok(())
    }
}
