//! How the environment and the file lie under the flags: their values become the defaults of clap's arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::ffi::OsString;

use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::{Origin, SettingsError};
use crate::nearest::nearest;

const PREFIX: &str = "TOKENKEEP_";

/// Values by the name of their setting, with where each stands. It has no `Debug`: one of them may be a secret.
#[derive(Default)]
pub(super) struct Layers(BTreeMap<String, (Origin, String)>);

impl Layers {
    /// Takes the variables that are ours, each of which must be one of these settings.
    pub(super) fn of_environment(
        names: &BTreeSet<String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let names: BTreeMap<_, _> = names.iter().map(|name| (variable(name), name)).collect();
        let mut layers = Self::default();
        for (key, value) in environment {
            let Some(key) = key.to_str().filter(|key| key.starts_with(PREFIX)) else { continue };
            let origin = Origin::Variable(key.to_owned());
            if let Some(name) = names.get(key) {
                layers.insert((*name).clone(), origin.clone(), text(value, origin)?);
            } else if !is_service_link(key) {
                return Err(SettingsError::Unknown { origin, nearest: nearest(key, names.into_keys()) });
            }
        }
        Ok(layers)
    }

    pub(super) fn insert(&mut self, name: String, origin: Origin, value: String) {
        self.0.insert(name, (origin, value));
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(_, value)| value.as_str())
    }

    /// Keeps what is there and takes the rest from `lower`.
    pub(super) fn lay_over(&mut self, lower: Self) {
        for (name, value) in lower.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    /// The command with these values as defaults, so that the one parser judges them all.
    pub(super) fn under(&self, command: Command) -> Command {
        for_each_setting(command, &|argument, name| match self.value(name) {
            Some(value) => argument.default_value(OsStr::from(value.to_owned())).required(false),
            None => argument,
        })
    }

    /// Says of clap's error what is at fault and where it stands; a text of clap's could repeat a secret.
    pub(super) fn explain(
        &self,
        error: clap::Error,
        names: &BTreeSet<String>,
        arguments: &[OsString],
    ) -> SettingsError {
        let (kind, name) = (error.kind(), name_in(&error).unwrap_or_default());
        if matches!(kind, ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
            SettingsError::Value { origin: self.origin(&name, arguments), reason: reason(&error) }
        } else if kind == ErrorKind::MissingRequiredArgument && names.contains(&name) {
            SettingsError::Missing { name }
        } else {
            SettingsError::Usage(Box::new(error))
        }
    }

    fn origin(&self, name: &str, arguments: &[OsString]) -> Origin {
        let flag = format!("--{name}");
        let is_flag = |argument: &str| argument.split('=').next() == Some(&flag);
        let from_flag = arguments.iter().filter_map(|argument| argument.to_str()).any(is_flag);
        let lower = self.0.get(name).filter(|_| !from_flag);
        lower.map_or_else(|| Origin::Flag(name.to_owned()), |(origin, _)| origin.clone())
    }
}

fn text(value: OsString, origin: Origin) -> Result<String, SettingsError> {
    let reason = "must be valid UTF-8".to_owned();
    value.into_string().map_err(|_| SettingsError::Value { origin, reason })
}

/// The flag that an error is about, the first if there are more, without its dashes.
fn name_in(error: &clap::Error) -> Option<String> {
    let shown = error.get(ContextKind::InvalidArg)?.to_string();
    shown.split_whitespace().next()?.strip_prefix("--").map(str::to_owned)
}

/// The rule that a value broke, reading on after the name of its setting.
fn reason(error: &clap::Error) -> String {
    match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(rule), _) => rule.to_string(),
        (None, Some(ContextValue::Strings(values))) if !values.is_empty() => {
            format!("must be one of {}", values.join(", "))
        }
        (None, _) => "needs a value".to_owned(),
    }
}

/// The names of all settings of a command and of its roles, and of what these are made of.
pub(super) fn names(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(name_of).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(names)).collect()
}

/// The name of a setting; `None` of an argument that belongs to one call.
fn name_of(argument: &Arg) -> Option<&str> {
    argument.get_help_heading().and(argument.get_long())
}

/// The environment variable of a setting.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('-', "_").to_uppercase())
}

/// The command with each setting's default and variable in its help. The values that are laid under it later are kept
/// out of the help: one of them may be a secret.
pub(super) fn with_sources_in_help(command: Command) -> Command {
    for_each_setting(command, &|argument, name| {
        let takes_value = argument.get_action().takes_values();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = argument.get_default_values().first().and_then(|default| default.to_str());
        let default = default.map_or_else(String::new, |default| format!(" [default: {default}]"));
        argument.help(format!("{help}{default} [env: {}]", variable(name))).hide_default_value(takes_value)
    })
}

fn for_each_setting(command: Command, change: &dyn Fn(Arg, &str) -> Arg) -> Command {
    let own = command.mut_args(|argument| match name_of(&argument).map(str::to_owned) {
        Some(name) => change(argument, &name),
        None => argument,
    });
    own.mut_subcommands(|role| for_each_setting(role, change))
}

/// Whether a variable is one of those that Kubernetes sets in every container for a service named `tokenkeep` or
/// `tokenkeep-…`, such as `TOKENKEEP_SERVICE_HOST` and `TOKENKEEP_PORT_50051_TCP_ADDR`.
fn is_service_link(variable: &str) -> bool {
    let host = variable.ends_with("_SERVICE_HOST");
    let named_port = variable.ends_with("_SERVICE_PORT") || variable.contains("_SERVICE_PORT_");
    let link = variable.split_once("_PORT").is_some_and(|(_, rest)| {
        rest.is_empty()
            || rest.strip_prefix('_').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    host || named_port || link
}
