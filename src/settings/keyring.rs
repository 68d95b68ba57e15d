//! The settings of `keyring`, which tends the server keys.

use clap::{Args, Subcommand};

use super::database::DatabaseSource;
use super::groups::Keys;
use crate::text::Invalid;
use crate::token::Kid;

/// What can be done with the server keys.
#[derive(Debug, Subcommand)]
pub enum Keyring {
    /// Make another key in a keyring; it mints nothing before it is rolled to.
    ///
    /// The key is named by the next free name, and its file is readable to its owner only. With several servers: copy the
    /// file into the keyring of every server, then restart them, one after another, and only then roll to it. Back the
    /// file up as you do the others: tokens will depend on it.
    ///
    /// With a database, no name is given that it lists already, be it only for a key that is retired.
    Add(KeyringAdd),
    /// List the keys of a keyring, and with a database what each is used for, how many servers hold it and how many live
    /// tokens it minted; never a key itself.
    List(KeyringList),
    /// Have another key mint from now on, at every server; what others minted stays good.
    ///
    /// Refused before every server holds the key. Servers hear of it within about a second; nothing is to be restarted.
    Roll(KeyringRoll),
    /// Retire a key, which ends every token whose secret it minted. Without --confirm it only says what that would be.
    ///
    /// The key that mints cannot be retired: roll to another first. Comes back when no cache accepts those secrets any
    /// more. The tokens stay, as invalidated, and live again once they are regenerated. The key's file can be removed from
    /// the keyrings afterwards, and need not be.
    Retire(KeyringRetire),
}

/// Settings and arguments of `keyring add`; what follows a flattened group would come under that group's heading.
#[derive(Debug, Args)]
pub struct KeyringAdd {
    /// The name of the key, two characters of 0-9, A-Z, a-z, unless it is to be the next one.
    #[arg(long, value_name = "KID", value_parser = kid)]
    pub kid: Option<Kid>,
    /// Which keyring.
    #[command(flatten)]
    pub keys: Keys,
    /// Which database, if any.
    #[command(flatten)]
    pub database: DatabaseSource,
}

/// Settings of `keyring list`.
#[derive(Debug, Args)]
pub struct KeyringList {
    /// Which keyring.
    #[command(flatten)]
    pub keys: Keys,
    /// Which database, if any.
    #[command(flatten)]
    pub database: DatabaseSource,
}

/// Settings and arguments of `keyring roll`.
#[derive(Debug, Args)]
pub struct KeyringRoll {
    /// The key that shall mint.
    #[arg(value_name = "KID", value_parser = kid)]
    pub kid: Kid,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseSource,
}

/// Settings and arguments of `keyring retire`.
#[derive(Debug, Args)]
pub struct KeyringRetire {
    /// The key that shall be retired.
    #[arg(value_name = "KID", value_parser = kid)]
    pub kid: Kid,
    /// Do it, for good, instead of saying what it would end.
    #[arg(long)]
    pub confirm: bool,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseSource,
}

fn kid(text: &str) -> Result<Kid, Invalid> {
    Kid::parse(text).ok_or(Invalid::Malformed("two characters of 0-9, A-Z, a-z, like 01"))
}
