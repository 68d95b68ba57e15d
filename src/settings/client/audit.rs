//! What the commands about the audit trail are told.

use clap::{Args, Subcommand};

use super::{Limit, Moment};

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List what callers did or were refused, newest first.
    List(List),
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
pub struct List {
    /// The workspace; every one that you act on unless set.
    #[arg(long, short, value_name = "ID", default_value = "", hide_default_value = true)]
    pub workspace: String,
    /// What was done, like `create_token`.
    #[arg(long, value_name = "ACTION", default_value = "", hide_default_value = true)]
    pub action: String,
    /// By the holder of the token with this id.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub caller: String,
    /// On behalf of exactly this one.
    #[arg(long, value_name = "WHO", default_value = "", hide_default_value = true)]
    pub initiator: String,
    /// To the token with this id.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub token: String,
    /// To the principal with this id.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub principal: String,
    /// Only what was refused.
    #[arg(long)]
    pub refused: bool,
    /// Then or later, like 2026-01-31 or 24h for the last day.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse)]
    pub since: Option<Moment>,
    /// Before then.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse)]
    pub before: Option<Moment>,
    /// How many.
    #[command(flatten)]
    pub limit: Limit,
}
