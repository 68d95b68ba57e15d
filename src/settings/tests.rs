//! What the command line, the environment and the file promise.

mod client;
mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use samples::{SAMPLES, SERVE, Sample};

const FILE: &str = "file.toml";

const SWITCHES: [&str; 2] = ["insecure-plaintext", "no-fetch"];

/// The settings that every role needs to be given.
const NEEDED: [(&str, &str); 4] = [
    ("TOKENKEEP_KEYRING", "/keys"),
    ("TOKENKEEP_LISTEN", "unix:/needed"),
    ("TOKENKEEP_UPSTREAM", "unix:/server"),
    ("TOKENKEEP_CREDENTIAL_FILE", "/credential"),
];

fn read(arguments: &[&str], environment: &[(&str, &str)]) -> Result<CommandLine, SettingsError> {
    let arguments: Vec<OsString> = ["tokenkeep"].iter().chain(arguments).map(OsString::from).collect();
    CommandLine::read(&arguments, environment.iter().map(|(key, value)| (key.into(), value.into())))
}

/// The raw value that won: clap's matches hold it beside the parsed one.
fn taken(sample: &Sample, flag: bool, environment: bool, file: Option<&Path>) -> Option<String> {
    let [in_flag, in_environment, in_file] = sample.values;
    let mut arguments: Vec<OsString> = ["tokenkeep"].iter().chain(sample.role).map(OsString::from).collect();
    if flag && SWITCHES.contains(&sample.name) {
        arguments.push(format!("--{}", sample.name).into());
    } else if flag {
        arguments.extend([format!("--{}", sample.name).into(), in_flag.into()]);
    }
    let command = layers::with_sources_in_help(CommandLine::command());
    let names = layers::names(&command);
    let variable = environment.then(|| (layers::variable(sample.name).into(), in_environment.into()));
    let mut layers = Layers::of_environment(&names, variable).unwrap();
    if let Some(path) = file {
        fs::write(path, format!("{} = \"{in_file}\"\n", sample.name)).unwrap();
        layers.lay_over(file::read(&names, path).unwrap());
    }
    let needed = NEEDED.map(|(key, value)| (key.into(), value.into()));
    layers.lay_over(Layers::of_environment(&names, needed).unwrap());
    let matches = layers.under(command).try_get_matches_from(arguments).unwrap();
    let mut matches = &matches;
    while let Some((_, word)) = matches.subcommand() {
        matches = word;
    }
    let raw = matches.get_raw(&sample.name.replace('-', "_"))?.next()?;
    raw.to_str().map(str::to_owned)
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    for sample in SAMPLES {
        let name = sample.name;
        let [in_flag, in_environment, in_file] = sample.values.map(|value| Some(value.to_owned()));
        let flag_taken = taken(sample, true, true, Some(&path));
        assert!(flag_taken == in_flag || SWITCHES.contains(&name), "{name}: {flag_taken:?}");
        assert_eq!(taken(sample, false, true, Some(&path)), in_environment, "{name}");
        assert_eq!(taken(sample, false, false, Some(&path)), in_file, "{name}");
        assert_ne!(
            taken(sample, false, false, None),
            in_environment.filter(|_| !["reflection", "argon2-cost", "doorbell"].contains(&name)),
            "{name}"
        );
    }
}

/// A setting that is added without a sample is not shown to be accepted from everywhere.
#[test]
fn every_setting_is_sampled_has_a_variable_in_the_help_and_nothing_else_has() {
    let command = layers::with_sources_in_help(CommandLine::command());
    let named: Vec<String> = layers::names(&command).into_iter().filter(|name| name != "config").collect();
    let mut sampled: Vec<&str> = SAMPLES.iter().map(|sample| sample.name).collect();
    sampled.sort_unstable();
    assert_eq!(named, sampled);
    for sample in SAMPLES {
        let help = help(sample.role);
        assert!(help.contains(&format!("--{}", sample.name)), "{}", sample.name);
        assert!(help.contains(&format!("[env: {}]", layers::variable(sample.name))), "{}", sample.name);
    }
    let of_one_call = [
        "address",
        "service",
        "tls-ca",
        "tls-server-name",
        "timeout",
        "out",
        "reset",
        "kid",
        "confirm",
        "yes",
    ];
    assert!(of_one_call.iter().all(|name| !named.contains(&(*name).to_owned())));
}

fn help(role: &[&str]) -> String {
    let arguments: Vec<&str> = role.iter().copied().chain(["--help"]).collect();
    let variables = [("TOKENKEEP_DATABASE_URL", "postgres://u:hunter2@h/d"), ("TOKENKEEP_TYPO", "")];
    match read(&arguments, &variables) {
        Err(SettingsError::Usage(help)) => help.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_help_tells_the_defaults_and_no_value_of_this_machine() {
    let help = help(SERVE);
    assert!(help.contains("[default: 127.0.0.1:50051] [env: TOKENKEEP_LISTEN]"), "{help}");
    assert!(help.contains("[env: TOKENKEEP_CONFIG]"), "{help}");
    assert!(!help.contains("hunter2"), "{help}");
}

#[test]
fn the_values_of_all_sources_reach_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, "request-timeout = \"2s\"\nthreads = 3\ninsecure-plaintext = true\nlog = \"warn\"\n")
        .unwrap();
    let path = path.to_str().unwrap();
    let environment =
        [("TOKENKEEP_CONFIG", path), ("TOKENKEEP_THREADS", "5"), ("TOKENKEEP_KEYRING", "/keys")];
    let read = read(&["serve", "--drain-timeout", "4s"], &environment).unwrap();
    let Role::Serve(serve) = read.role else { panic!() };
    assert_eq!(read.logging.log, crate::telemetry::LogFilter::parse("warn").unwrap());
    let (limits, listening) = (serve.server.limits, serve.server.listening);
    assert_eq!(limits.request_timeout.as_secs(), 2);
    assert_eq!(limits.drain_timeout.as_secs(), 4);
    assert_eq!(limits.threads.get().get(), 5);
    assert!(listening.insecure_plaintext && listening.reflection);
    assert_eq!(serve.keys.keyring, Path::new("/keys"));
}

#[test]
fn the_flag_that_names_the_file_may_stand_before_or_after_the_role() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, "data-dir = \"/there\"").unwrap();
    let path = path.to_str().unwrap();
    for arguments in [["--config", path, "dev"], ["dev", "--config", path]] {
        let Role::Dev(dev) = read(&arguments, &[("TOKENKEEP_CONFIG", "/not/read")]).unwrap().role else {
            panic!()
        };
        assert_eq!(dev.data.home.path().unwrap(), Path::new("/there"));
    }
}

fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let error = read(arguments, environment).unwrap_err();
    let told = error.to_string();
    assert!(!format!("{told} {error:?}").contains("hunter2"), "{told}");
    told
}

/// The refusal of a file's content.
fn refusal_of(content: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, content).unwrap();
    refusal(&["dev"], &[("TOKENKEEP_CONFIG", path.to_str().unwrap())])
}

#[test]
fn an_unknown_name_is_refused_and_the_nearest_is_told() {
    let told = refusal(&["dev"], &[("TOKENKEEP_LISTN", "127.0.0.1:1")]);
    assert!(
        told.starts_with("TOKENKEEP_LISTN is none of the settings")
            && told.ends_with("did you mean TOKENKEEP_LISTEN?"),
        "{told}"
    );
    let told = refusal_of("request_timeout = \"1s\"");
    assert!(told.contains("did you mean request-timeout?") && told.contains(FILE), "{told}");
    let told = refusal_of("colour = \"blue\"");
    assert!(told.contains("colour in") && !told.contains("did you mean"), "{told}");
    assert!(refusal_of("config = \"other.toml\"").contains("is none of the settings"));
    assert!(refusal(&["dev", "--lisen", "127.0.0.1:1"], &[]).contains("--listen"));
}

#[test]
fn a_bad_value_is_refused_by_the_name_of_its_source() {
    let told = refusal(&["dev", "--request-timeout", "10"], &[("TOKENKEEP_REQUEST_TIMEOUT", "1s")]);
    assert!(told.starts_with("--request-timeout must be a duration like"), "{told}");
    let told = refusal(&["dev"], &[("TOKENKEEP_THREADS", "0")]);
    assert!(told.starts_with("TOKENKEEP_THREADS must be `cores` or a whole number"), "{told}");
    let told = refusal(&["dev"], &[("TOKENKEEP_LOG_FORMAT", "xml")]);
    assert_eq!(told, "TOKENKEEP_LOG_FORMAT must be one of auto, text, json");
    let told = refusal(&["dev"], &[("TOKENKEEP_NO_FETCH", "yes")]);
    assert_eq!(told, "TOKENKEEP_NO_FETCH must be one of true, false");
    let told = refusal_of("argon2-cost = \"cheap\"");
    assert!(told.starts_with("argon2-cost in ") && told.ends_with("must be one of default, owasp"), "{told}");
    assert!(refusal_of("threads = [1]").contains("must be a text"));
    assert!(refusal_of("threads = 1\nlisten = ").contains("line 2"));
    assert!(refusal(&["dev", "--config", "/not/there"], &[]).contains("cannot read /not/there"));
}

#[test]
fn a_needed_setting_that_is_missing_is_named_with_the_ways_to_set_it() {
    let told = refusal(&["serve"], &[]);
    assert!(told.contains("--keyring") && told.contains("TOKENKEEP_KEYRING"), "{told}");
    let told = refusal(&["healthcheck", "--tls-server-name", "localhost"], &[]);
    assert!(told.contains("--tls-ca <FILE>") && !told.contains("TOKENKEEP"), "{told}");
}

#[test]
fn no_error_and_no_debug_repeats_the_database_url() {
    for arguments in [&["migrate", "--database-url", "mysql://u:hunter2@h/d"][..], &["migrate"]] {
        let told = refusal(arguments, &[("TOKENKEEP_DATABASE_URL", "mysql://u:hunter2@h/d")]);
        assert!(told.contains("must be a URL like postgres://"), "{told}");
    }
    refusal_of("database-url = \"postgres://u:hunter2@h/d");
    refusal_of("database-url = \"postgres://u:hunter2@h/d\"\ndatabase-url = 1");
    let good = read(&["migrate"], &[("TOKENKEEP_DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
    assert!(!format!("{good:?}").contains("hunter2"));
}

#[test]
fn a_password_is_taken_from_the_environment_but_not_from_the_arguments() {
    let url = "postgres://u:hunter2@h/d";
    assert!(refusal(&["migrate", "--database-url", url], &[]).contains("TOKENKEEP_DATABASE_URL"));
    let direct = refusal(&["serve", "--direct-database-url", url], &NEEDED);
    assert!(direct.contains("TOKENKEEP_DIRECT_DATABASE_URL"), "{direct}");
    let nested = refusal(&["keyring", "roll", "02", "--database-url", url], &[]);
    assert!(nested.contains("TOKENKEEP_DATABASE_URL"), "{nested}");
    assert!(read(&["migrate"], &[("TOKENKEEP_DATABASE_URL", url)]).is_ok());
    assert!(
        read(&["migrate", "--database-url", "postgres://u@h/d"], &[("TOKENKEEP_DATABASE_URL", url)]).is_ok()
    );
}

#[test]
fn a_word_of_a_word_has_the_settings_of_all_sources_too() {
    let environment =
        [("TOKENKEEP_KEYRING", "/keys"), ("TOKENKEEP_DATABASE_URL", "postgres://u:hunter2@h/d")];
    let Role::Keyring(Keyring::Add(add)) = read(&["keyring", "add"], &environment).unwrap().role else {
        panic!()
    };
    assert_eq!(add.keys.keyring, Path::new("/keys"));
    assert!(add.database.url_if_any().unwrap().is_some());
    let help = help(&["keyring", "add"]);
    assert!(help.contains("[env: TOKENKEEP_KEYRING]") && !help.contains("hunter2"), "{help}");
    for said in ["copy the file into the keyring of every server", "restart them, one after another"] {
        assert!(help.contains(said), "{help}");
    }
}

#[test]
fn the_files_of_tls_go_together() {
    let tls = |arguments: &[&str]| {
        let Role::Dev(dev) = read(&[&["dev"], arguments].concat(), &[]).unwrap().role else { panic!() };
        dev.server.listening.tls()
    };
    assert!(matches!(tls(&[]), Ok(None)));
    assert!(matches!(tls(&["--tls-certificate", "a", "--tls-key", "b"]), Ok(Some(_))));
    assert!(tls(&["--tls-certificate", "a"]).unwrap_err().to_string().contains("TOKENKEEP_TLS_KEY"));
    assert!(tls(&["--tls-key", "b"]).unwrap_err().to_string().contains("TOKENKEEP_TLS_CERTIFICATE"));
    assert!(tls(&["--tls-client-ca", "c"]).is_err());
}

/// Kubernetes sets these for a service of our name; refusing them would refuse to start there.
#[test]
fn the_variables_that_kubernetes_makes_of_a_service_are_passed_over() {
    let links = BTreeMap::from([
        ("TOKENKEEP_SERVICE_HOST", "10.0.0.1"),
        ("TOKENKEEP_SERVICE_PORT", "50051"),
        ("TOKENKEEP_SERVICE_PORT_GRPC", "50051"),
        ("TOKENKEEP_PORT", "tcp://10.0.0.1:50051"),
        ("TOKENKEEP_PORT_50051_TCP", "tcp://10.0.0.1:50051"),
        ("TOKENKEEP_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("TOKENKEEP_POSTGRES_PORT_5432_TCP_PROTO", "tcp"),
    ]);
    assert!(read(&["version"], &links.into_iter().collect::<Vec<_>>()).is_ok());
    assert!(read(&["version"], &[("TOKENKEEP_PORTS", "1")]).is_err());
}

#[test]
fn the_arguments_are_well_declared() {
    CommandLine::command().debug_assert();
}
