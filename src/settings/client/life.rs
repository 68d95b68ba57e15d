//! What the commands are told that replace, pause, end, judge or follow tokens.

use std::time::Duration;

use clap::Args;

use super::token::{Expiration, Filter};
use super::{IfUnchanged, InWorkspace, OnBehalf, SecretIn, SecretOut, Sure, Waiting};
use crate::settings::value::span;

/// Arguments of `token regenerate`.
#[derive(Debug, Args)]
pub struct Regenerate {
    /// The id of the token.
    pub id: String,
    /// How long the present secret works on beside the new one, like 24h, up to 30d. Without it, it dies at once.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub overlap: Option<Duration>,
    /// A new expiry; the old one stays unless it is said.
    #[command(flatten)]
    pub expiration: Expiration,
    /// Only if unchanged.
    #[command(flatten)]
    pub etag: IfUnchanged,
    /// Where the secret goes.
    #[command(flatten)]
    pub secret: SecretOut,
    /// Without asking.
    #[command(flatten)]
    pub sure: Sure,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}

/// Arguments of `token end-overlap`.
#[derive(Debug, Args)]
pub struct EndOverlap {
    /// The id of the token.
    pub id: String,
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

/// Arguments of `token suspend`.
#[derive(Debug, Args)]
pub struct Suspend {
    /// The id of the token.
    pub id: String,
    /// Why, for people and for the stream.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Only if unchanged.
    #[command(flatten)]
    pub etag: IfUnchanged,
    /// What to wait for.
    #[command(flatten)]
    pub waiting: Waiting,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}

/// Arguments of `token resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// The id of the token.
    pub id: String,
    /// Only if unchanged.
    #[command(flatten)]
    pub etag: IfUnchanged,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The id of the token.
    pub id: String,
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

/// Arguments of `token bulk-revoke`.
#[derive(Debug, Args)]
pub struct BulkRevoke {
    /// Which tokens.
    #[command(flatten)]
    pub filter: Filter,
    /// Every token of the workspace; needed where no filter narrows it.
    #[arg(long)]
    pub all: bool,
    /// Only say how many there are, and show some.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it only if there are as many as this; unless set, as many as a dry run just before has counted.
    #[arg(long, value_name = "COUNT")]
    pub expected_count: Option<i64>,
    /// Why, for people and for the stream.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
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

/// Arguments of `token revoke-secret`.
#[derive(Debug, Args)]
pub struct RevokeSecret {
    /// Where the secrets come from.
    #[command(flatten)]
    pub secrets: SecretIn,
    /// Why, for people and for the stream.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Without asking.
    #[command(flatten)]
    pub sure: Sure,
    /// On whose behalf.
    #[command(flatten)]
    pub behalf: OnBehalf,
}

/// Arguments of `token introspect`.
#[derive(Debug, Args)]
pub struct Introspect {
    /// Where the token comes from.
    #[command(flatten)]
    pub secret: SecretIn,
    /// The workspace it is presented in; any that you act on unless set.
    #[arg(long, short, value_name = "ID", default_value = "", hide_default_value = true)]
    pub workspace: String,
    /// A scope that it must have; may be given again.
    #[arg(long = "required-scope", value_name = "SCOPE")]
    pub required_scopes: Vec<String>,
    /// Where it is presented.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub audience: String,
    /// The address of whoever presents it.
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    pub client_address: String,
    /// Answer from nothing older than this revision.
    #[arg(long, value_name = "REVISION", default_value = "0", hide_default_value = true)]
    pub min_revision: i64,
    /// Answer from nothing older than this call, whatever it costs.
    #[arg(long)]
    pub strong: bool,
    /// Show the token's labels, too.
    #[arg(long)]
    pub labels: bool,
}

/// Arguments of `token watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// The workspace; every one that you act on unless set.
    #[arg(long, short, value_name = "ID", default_value = "", hide_default_value = true)]
    pub workspace: String,
    /// Go on right after the event, or the end of a watch, that told this cursor.
    #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
    pub cursor: String,
    /// Print frames without events, too, as the cursor moves on.
    #[arg(long)]
    pub progress: bool,
}
