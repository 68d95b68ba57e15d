//! What the commands about tokens are told.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::life::{
    BulkRevoke, EndOverlap, Introspect, Regenerate, Resume, Revoke, RevokeSecret, Suspend, Watch,
};
use super::{
    IfUnchanged, InWorkspace, Label, Limit, Moment, OnBehalf, PrincipalKind, SecretOut, State, Type,
};
use crate::settings::value::span;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Issue a token; its secret is shown this once.
    Create(Create),
    /// List the tokens of a workspace, newest first.
    List(List),
    /// Show a token.
    Show(Show),
    /// Edit a token: only what is said changes.
    Edit(Edit),
    /// Give a token a new secret, shown this once; the old one dies at once, or after an overlap.
    Regenerate(Regenerate),
    /// End the time in which a token's previous secret works beside the present one.
    EndOverlap(EndOverlap),
    /// Make a token inactive until it is resumed.
    Suspend(Suspend),
    /// Make a suspended token work again.
    Resume(Resume),
    /// End a token for good.
    Revoke(Revoke),
    /// End every token of a workspace that a filter matches, for good, in one change.
    BulkRevoke(BulkRevoke),
    /// End the tokens whose secrets leaked, for good: reads secrets, one a line.
    RevokeSecret(RevokeSecret),
    /// Judge a presented token, which is read from a file or the standard input: exit code 0 if it is active and has the
    /// scopes that are required, 3 if not.
    Introspect(Introspect),
    /// Count the tokens of a workspace.
    Count(Count),
    /// Print every change that can take a token's power away, as it comes.
    Watch(Watch),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What people call the token.
    pub name: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub description: String,
    /// The id of the principal that it acts for.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub principal: String,
    /// What it may do, its expiry and the rest.
    #[command(flatten)]
    pub power: Power,
    /// A label of your own; may be given again.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = Label::parse)]
    pub labels: Vec<Label>,
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

/// What a new token may do, where, and for how long.
#[derive(Debug, Args)]
pub struct Power {
    /// What kind of power it has; the only one that the workspace's profile has, unless set.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<Type>,
    /// A scope; may be given again.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Where it may be presented; may be given again. Anywhere unless set.
    #[arg(long = "audience", value_name = "NAME")]
    pub audiences: Vec<String>,
    /// From where it may be used, like `192.0.2.0/24`; may be given again. From anywhere unless set.
    #[arg(long = "allowed-cidr", value_name = "BLOCK")]
    pub allowed_cidrs: Vec<String>,
    /// When it expires.
    #[command(flatten)]
    pub expiration: Expiration,
}

/// When a token expires.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Expiration {
    /// How long it lives from now, like 12h or 90d.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub lifetime: Option<Duration>,
    /// When it expires, like 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse)]
    pub expire_time: Option<Moment>,
    /// It never expires.
    #[arg(long)]
    pub never_expires: bool,
}

/// Which tokens: all of what is said must be so.
#[derive(Debug, Args)]
pub struct Filter {
    /// In this state; may be given again, for any of them.
    #[arg(long = "state", value_name = "STATE")]
    pub states: Vec<State>,
    /// Acting for this principal.
    #[arg(long, value_name = "ID")]
    pub principal: Option<String>,
    /// Acting for a principal of this kind.
    #[arg(long, value_name = "KIND")]
    pub principal_kind: Option<PrincipalKind>,
    /// Whose name begins so.
    #[arg(long, value_name = "TEXT")]
    pub name_prefix: Option<String>,
    /// Carrying exactly this scope.
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// Of this type.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<Type>,
    /// Created on behalf of exactly this one.
    #[arg(long, value_name = "WHO")]
    pub creator: Option<String>,
    /// Expiring within this time from now.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub expiring_within: Option<Duration>,
    /// Not used since then, like 90d for the last 90 days, or 2026-01-31.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse)]
    pub unused_since: Option<Moment>,
    /// Never used.
    #[arg(long)]
    pub never_used: bool,
    /// Created then or later.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse)]
    pub created_since: Option<Moment>,
    /// Created before.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse)]
    pub created_before: Option<Moment>,
    /// Whose secret is due to be replaced.
    #[arg(long)]
    pub rotation_due: bool,
    /// Of which a dead secret was presented then or later.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse)]
    pub superseded_use_since: Option<Moment>,
}

/// Arguments of `token list`.
#[derive(Debug, Args)]
pub struct List {
    /// Which tokens.
    #[command(flatten)]
    pub filter: Filter,
    /// How many.
    #[command(flatten)]
    pub limit: Limit,
    /// In which workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `token count`.
#[derive(Debug, Args)]
pub struct Count {
    /// Which tokens.
    #[command(flatten)]
    pub filter: Filter,
    /// In which workspace.
    #[command(flatten)]
    pub workspace: InWorkspace,
}

/// Arguments of `token show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The id of the token.
    pub id: String,
}

/// Arguments of `token edit`.
#[derive(Debug, Args)]
#[group(id = "edits", required = true, multiple = true, args = [
    "name", "description", "kind", "scopes", "no_scopes", "audiences", "no_audiences", "allowed_cidrs",
    "no_allowed_cidrs", "labels", "no_labels", "expire_time", "never_expires",
])]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Edit {
    /// The id of the token.
    pub id: String,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// What kind of power it has.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<Type>,
    /// A scope; may be given again. These take the place of all that it has.
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "no_scopes")]
    pub scopes: Vec<String>,
    /// Take all its scopes away.
    #[arg(long)]
    pub no_scopes: bool,
    /// Where it may be presented; may be given again. These take the place of all that it has.
    #[arg(long = "audience", value_name = "NAME", conflicts_with = "no_audiences")]
    pub audiences: Vec<String>,
    /// It may be presented anywhere.
    #[arg(long)]
    pub no_audiences: bool,
    /// From where it may be used; may be given again. These take the place of all that it has.
    #[arg(long = "allowed-cidr", value_name = "BLOCK", conflicts_with = "no_allowed_cidrs")]
    pub allowed_cidrs: Vec<String>,
    /// It may be used from anywhere.
    #[arg(long)]
    pub no_allowed_cidrs: bool,
    /// A label of your own; may be given again. These take the place of all that it has.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = Label::parse, conflicts_with = "no_labels")]
    pub labels: Vec<Label>,
    /// Take all its labels away.
    #[arg(long)]
    pub no_labels: bool,
    /// When it expires, like 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::parse, conflicts_with = "never_expires")]
    pub expire_time: Option<Moment>,
    /// It never expires.
    #[arg(long)]
    pub never_expires: bool,
    /// Only if unchanged.
    #[command(flatten)]
    pub etag: IfUnchanged,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}
