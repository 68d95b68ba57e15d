//! What is wrong with a profile's file, and where.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, the first being 1.
    pub line: usize,
    /// The column in characters, the first being 1.
    pub column: usize,
    /// What is wrong, and what is wanted.
    pub told: String,
}

impl Problem {
    /// A problem at so many bytes from the beginning of a text.
    pub(super) fn at(offset: usize, text: &str, told: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, told }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.line, self.column, self.told)
    }
}

/// All that is wrong with one file: a line each, as editors and compilers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, from top to bottom; one thing at least.
    pub problems: Vec<Problem>,
}

impl std::error::Error for FileError {}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            let gap = if position == 0 { "" } else { "\n" };
            write!(formatter, "{gap}{}:{problem}", self.path.display())?;
        }
        Ok(())
    }
}
