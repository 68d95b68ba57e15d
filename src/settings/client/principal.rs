//! What the commands about principals are told.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{IfUnchanged, InWorkspace, Limit, OnBehalf, PrincipalKind, SecretOut, Sure, Type, Waiting};
use crate::settings::value::span;

/// What can be done with principals.
#[derive(Debug, Subcommand)]
pub enum Principal {
    /// Add a user or a service account; a service account can be born with its first token.
    Create(Create),
    /// List the principals of a workspace.
    List(List),
    /// Show a principal.
    Show(Show),
    /// Edit a principal, disable or enable it: only what is said changes.
    Edit(Edit),
    /// End a principal for good, and revoke its tokens or hand them over.
    Delete(Delete),
}

/// Arguments of `principal create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The id, which never changes.
    pub id: String,
    /// A person or a program.
    #[arg(long, value_name = "KIND")]
    pub kind: PrincipalKind,
    /// What people call it; the id unless set.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// What the product calls it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub handle: String,
    /// Its number, for products that have such.
    #[arg(long, value_name = "NUMBER", default_value = "0", hide_default_value = true)]
    pub external_id: i64,
    /// What it may do at most; may be given again. `*` for everything but what concerns tokenkeep itself.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Its tokens are inactive for now.
    #[arg(long)]
    pub disabled: bool,
    /// What it is born with.
    #[command(flatten)]
    pub first: FirstToken,
    /// Where the secret goes.
    #[command(flatten)]
    pub secret: SecretOut,
    /// In which workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}

/// The token that a service account is born with.
#[derive(Debug, Args)]
pub struct FirstToken {
    /// Give a service account its first token, of this name.
    #[arg(long, value_name = "NAME")]
    pub token: Option<String>,
    /// A scope of that token; may be given again.
    #[arg(long = "token-scope", value_name = "SCOPE", requires = "token")]
    pub token_scopes: Vec<String>,
    /// What kind of power that token has.
    #[arg(long, value_name = "TYPE", requires = "token")]
    pub token_type: Option<Type>,
    /// How long that token lives from now, like 12h or 90d; for good unless set.
    #[arg(long, value_name = "DURATION", value_parser = span, requires = "token")]
    pub token_lifetime: Option<Duration>,
    /// That token never expires; some profiles want it said.
    #[arg(long, requires = "token", conflicts_with = "token_lifetime")]
    pub token_never_expires: bool,
}

/// Arguments of `principal list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this kind.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<PrincipalKind>,
    /// How many.
    #[command(flatten)]
    pub limit: Limit,
    /// In which workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `principal show`.
#[derive(Debug, Args)]
#[group(id = "key", required = true, multiple = false, args = ["id", "handle", "external_id"])]
pub struct Show {
    /// The id of the principal.
    pub id: Option<String>,
    /// What the product calls it, instead of the id.
    #[arg(long, value_name = "TEXT")]
    pub handle: Option<String>,
    /// Its number, instead of the id.
    #[arg(long, value_name = "NUMBER")]
    pub external_id: Option<i64>,
    /// In which workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `principal edit`.
#[derive(Debug, Args)]
#[group(id = "edits", required = true, multiple = true, args = [
    "name", "handle", "scopes", "no_scopes", "disable", "enable",
])]
pub struct Edit {
    /// The id of the principal.
    pub id: String,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// What the product calls it.
    #[arg(long, value_name = "TEXT")]
    pub handle: Option<String>,
    /// What it may do at most; may be given again. These take the place of all that it has.
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "no_scopes")]
    pub scopes: Vec<String>,
    /// Take all its scopes away.
    #[arg(long)]
    pub no_scopes: bool,
    /// Make its tokens inactive.
    #[arg(long, conflicts_with = "enable")]
    pub disable: bool,
    /// Make its tokens work again.
    #[arg(long)]
    pub enable: bool,
    /// Only if unchanged.
    #[command(flatten)]
    pub etag: IfUnchanged,
    /// What to wait for.
    #[command(flatten)]
    pub waiting: Waiting,
    /// In which workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}

/// Arguments of `principal delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The id of the principal.
    pub id: String,
    /// Have its tokens act for this principal from now on, instead of revoking them.
    #[arg(long, value_name = "ID", conflicts_with = "reason")]
    pub hand_over_to: Option<String>,
    /// Why its tokens are revoked, for people and for the stream.
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
    /// In which workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}
