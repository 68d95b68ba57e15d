//! What the commands about workspaces are told.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{IfUnchanged, Limit, OnBehalf, SupersededUse, Sure, Waiting};
use crate::settings::value::span;

/// What can be done with workspaces.
#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// Add a workspace.
    Create(Create),
    /// List the workspaces that you act on.
    List(List),
    /// Show a workspace.
    Show(Show),
    /// Edit a workspace: only what is said changes.
    Edit(Edit),
    /// Kill every secret of a workspace that was issued before; the tokens stay, and live again once regenerated.
    Invalidate(Invalidate),
    /// Show the profile of a workspace: which types, lifetimes and scopes its tokens can have.
    Profile(Show),
}

/// What a workspace is made of, besides its name.
#[derive(Debug, Args)]
pub struct Made {
    /// What new secrets begin with.
    #[arg(long, value_name = "PREFIX")]
    pub token_prefix: Option<String>,
    /// The profile whose rules its tokens keep; `none` for none.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The most tokens; 0 for any number.
    #[arg(long, value_name = "COUNT")]
    pub max_tokens: Option<i64>,
    /// The most tokens of one principal; 0 for any number.
    #[arg(long, value_name = "COUNT")]
    pub max_tokens_per_principal: Option<i64>,
    /// The longest that a token may live, like 90d.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub max_lifetime: Option<Duration>,
    /// A token may live for any time.
    #[arg(long, conflicts_with = "max_lifetime")]
    pub no_max_lifetime: bool,
    /// The most secrets issued within a minute; 0 for any number.
    #[arg(long, value_name = "COUNT")]
    pub max_issues_per_minute: Option<i32>,
    /// What happens when a secret that was replaced is presented.
    #[arg(long, value_name = "WHAT")]
    pub superseded_use: Option<SupersededUse>,
}

/// Arguments of `workspace create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The id, which never changes.
    pub id: String,
    /// What people call it; the id unless set.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// The rest.
    #[command(flatten)]
    pub made: Made,
}

/// Arguments of `workspace list`.
#[derive(Debug, Args)]
pub struct List {
    /// How many.
    #[command(flatten)]
    pub limit: Limit,
}

/// Arguments of `workspace show` and `workspace profile`.
#[derive(Debug, Args)]
pub struct Show {
    /// The id of the workspace.
    pub id: String,
}

/// Arguments of `workspace edit`.
#[derive(Debug, Args)]
#[group(id = "edits", required = true, multiple = true, args = [
    "name", "token_prefix", "profile", "max_tokens", "max_tokens_per_principal", "max_lifetime", "no_max_lifetime",
    "max_issues_per_minute", "superseded_use",
])]
pub struct Edit {
    /// The id of the workspace.
    pub id: String,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// The rest.
    #[command(flatten)]
    pub made: Made,
    /// Only if unchanged.
    #[command(flatten)]
    pub etag: IfUnchanged,
}

/// Arguments of `workspace invalidate`.
#[derive(Debug, Args)]
pub struct Invalidate {
    /// The id of the workspace.
    pub id: String,
    /// Only say how many tokens there are.
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for people and for the stream.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Only if unchanged.
    #[command(flatten)]
    pub etag: IfUnchanged,
    /// What to wait for.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Without asking.
    #[command(flatten)]
    pub sure: Sure,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}
