//! Figures beside their goals, as rows of a table; each benchmark leaves its own for the report on all.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::page::Outcome;

/// A figure as people read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) reference: String,
    pub(crate) goal: String,
    pub(crate) value: String,
    /// Between what half of the rounds lie, or what else tells how sure it is.
    pub(crate) spread: String,
    /// None for what is told and has no goal.
    pub(crate) reached: Option<bool>,
}

/// A ratio of what was measured in pairs, and whether it is as large, or as small, as it shall be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    None,
}

impl Goal {
    pub(crate) fn is_reached(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::None => None,
        }
    }

    pub(crate) fn told(self, unit: &str) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least} {unit}"),
            Self::AtMost(most) => format!("≤ {most} {unit}"),
            Self::None => "–".to_owned(),
        }
    }
}

const HEAD: &str =
    "| what | reference | goal | figure | half of the rounds | reached |\n|---|---|---|---|---|---|\n";

impl Figure {
    /// The head of a table in which each row names the page that it is from.
    pub(crate) const HEAD_WITH_PAGES: &str = "| what | reference | goal | figure | half of the rounds | reached | page |\n\
        |---|---|---|---|---|---|---|\n";

    fn row(&self) -> String {
        let Self { what, reference, goal, value, spread, reached } = self;
        let reached = match reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        format!("| {what} | {reference} | {goal} | {value} | {spread} | {reached} |\n")
    }

    pub(crate) fn row_from(&self, page: &str) -> String {
        format!("{} {page} |\n", self.row().trim_end())
    }
}

/// Leaves figures for the report; gives them as a table.
pub(crate) fn keep(benchmark: &str, figures: &[Figure]) -> Outcome<String> {
    let path = kept(benchmark);
    fs::create_dir_all(path.with_file_name(""))?;
    fs::write(path, serde_json::to_string_pretty(figures)?)?;
    Ok(HEAD.to_owned() + &figures.iter().map(Figure::row).collect::<String>())
}

/// Takes what a benchmark left.
pub(crate) fn take(benchmark: &str) -> Outcome<Vec<Figure>> {
    Ok(serde_json::from_str(&fs::read_to_string(kept(benchmark))?)?)
}

fn kept(benchmark: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures").join(format!("{benchmark}.json"))
}
