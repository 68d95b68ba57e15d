//! Figures beside their goals, as rows of a table; each benchmark leaves its own for the report on all.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::page::Outcome;
use super::rounds::Rounds;

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
    /// None where there is no goal.
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
    /// What was found, beside what should have been.
    pub(crate) fn new(
        [what, reference, goal]: [&str; 3],
        value: &str,
        spread: Option<String>,
        reached: Option<bool>,
    ) -> Self {
        let spread = spread.unwrap_or_else(|| "–".to_owned());
        let [what, reference, goal] = [what, reference, goal].map(str::to_owned);
        Self { what, reference, goal, value: format!("**{value}**"), spread, reached }
    }

    /// A ratio of what was measured in pairs, at least or at most the goal.
    pub(crate) fn ratio(said: [&str; 2], goal: Goal, ratios: &Rounds, told: &str) -> Self {
        let ((low, high), median) = (ratios.middle_half(), ratios.median());
        let (value, spread) = (format!("{told} = {median:.2} ×"), format!("{low:.2} – {high:.2} ×"));
        let [what, reference] = said;
        Self::new([what, reference, &goal.told("×")], &value, Some(spread), goal.is_reached(median))
    }

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
