//! `wharfinger config show`: what holds, and where each value comes from. `wharfinger config schema`: which keys
//! there are.

#[cfg(test)]
mod reference;

use std::{collections::BTreeMap, ffi::OsString, fmt::Write as _};

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, CommandFactory as _, Subcommand, parser::ValueSource};
use serde_json::{Map, Value, json};

use super::{Cli, Printed, RunArgs, go_flags};
use crate::{
    config::{Config, LogFormat, SCHEMA, When},
    daemon::{app, hosting::Hosting, policy},
    model::layer::Layer,
    policy::layer::Layered,
    secrets, tables, text,
};

/// The flags of `config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

/// What is done with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print what holds, and where each value comes from: the file, a flag, a variable, or nowhere.
    Show(Box<ShowArgs>),
    /// Print the schema of the configuration file: JSON Schema, draft 7, by which editors complete and check it.
    #[command(after_help = "\
An editor takes it from the first line of the file:
  #:schema file:///etc/wharfinger/wharfinger.schema.json")]
    Schema,
}

/// The flags of `config show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: RunArgs,

    /// Print JSON: of each key the value and its source.
    #[arg(long)]
    pub json: bool,
}

impl ConfigArgs {
    /// The daemon's flags, if it takes them.
    pub fn flags(&self) -> Option<&RunArgs> {
        match &self.command {
            ConfigCommand::Show(show) => Some(&show.target),
            ConfigCommand::Schema => None,
        }
    }
}

/// The flags by their names in clap, and the keys that say the same.
const KEYS: [(&str, &str); 23] = [
    ("ip", "host.address"),
    ("hostname", "host.name"),
    ("resolve", "host.resolve"),
    ("internal", "registrator.internal"),
    ("explicit", "registrator.explicit"),
    ("tags", "registrator.tags"),
    ("allow_http_get", "registrator.allow-http-get"),
    ("use_ip_from_label", "registrator.use-ip-from-label"),
    ("cleanup", "registrator.cleanup"),
    ("deregister", "registrator.deregister"),
    ("resync", "registrator.resync"),
    ("retry_attempts", "registrator.retry-attempts"),
    ("retry_interval", "registrator.retry-interval"),
    ("ttl", "registrator.ttl"),
    ("ttl_refresh", "registrator.ttl-refresh"),
    ("compat", "compat"),
    ("no_provenance", "registry.provenance"),
    ("uri", "registry.uri"),
    ("cache_dir", "cache.dir"),
    ("control", "daemon.control"),
    ("listen", "listen.address"),
    ("otlp", "telemetry.otlp"),
    ("log_format", "daemon.log-format"),
];

/// Print what holds.
///
/// # Errors
///
/// The file cannot be used.
pub fn config(args: &ConfigArgs, words: Vec<OsString>) -> anyhow::Result<Printed> {
    let args = match &args.command {
        ConfigCommand::Show(args) => args,
        ConfigCommand::Schema => return Ok(Printed { text: SCHEMA.into(), code: 0 }),
    };
    let file = app::config(&args.target.offer)?;
    let flags = app::settled(args.target.clone(), &file)?;
    let said = match &args.target.offer.config {
        Some(path) => std::fs::read_to_string(path)
            .ok()
            .and_then(|text| tables::read::<toml::Table>(&text).ok())
            .unwrap_or_default(),
        None => toml::Table::new(),
    };
    let command = Cli::command();
    let matches = matches(&command, words).context("the command line cannot be read again")?;
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for (flag, key) in KEYS {
        if let Some(source) = source_of(&command, &matches, flag) {
            sources.insert(key.into(), source);
        }
    }
    let compat = flags.offer.compat.unwrap_or_default();
    let (hosting, _folder) = policy::at_hand(&file, compat).map_err(app::BadConfig)?;
    let hosting = match hosting {
        // It is the file that is shown.
        Hosting::Awaited => Hosting::Optional,
        known => known,
    };
    let layered = hosting.over(&file);
    let bundle = of_bundle(&file, &layered);
    let mut effective = serde_json::to_value(effective(&flags, layered.config.clone()))?;
    secrets::json(&mut effective);
    if let Some(uri) = effective["registry"]["uri"].as_str().map(text::without_secrets) {
        effective["registry"]["uri"] = uri.into();
    }
    let said = serde_json::to_value(with_stages_of(said, &layered))?;
    let mut shown = Shown { sources, json: Map::new(), text: String::new(), bundle };
    let name = args.target.offer.config.as_ref().map(|path| path.display().to_string());
    let name = name.unwrap_or_else(|| "no file".into());
    let _ = writeln!(shown.text, "# {}, with what flags and variables say", text::shown(&name));
    shown.table("", &effective, &said);
    let printed = match args.json {
        true => text::json(&(serde_json::to_string_pretty(&shown.json)? + "\n")).into_owned(),
        false => shown.text,
    };
    Ok(Printed { text: printed, code: 0 })
}

/// The configuration with what the flags say in the place of its keys.
fn effective(flags: &RunArgs, mut config: Config) -> Config {
    let offer = &flags.offer;
    let seconds = |seconds: Option<u64>| seconds.map(std::time::Duration::from_secs);
    config.host.address.clone_from(&offer.ip);
    config.host.name.clone_from(&offer.hostname);
    let resolve = offer.resolve.iter();
    config.host.resolve =
        resolve.filter_map(|(name, address)| Some((name.clone(), address.parse().ok()?))).collect();
    config.compat = offer.compat;
    config.registry.provenance = offer.no_provenance.map(|without| !without);
    config.registry.uri = flags.uri.clone().or(config.registry.uri);
    config.cache.dir.clone_from(&offer.cache_dir);
    config.daemon.control.clone_from(&flags.control);
    config.daemon.log_format = flags.log_format.or(Some(LogFormat::Text));
    config.listen.address.clone_from(&flags.listen);
    config.telemetry.otlp = flags.otlp.as_deref().map(text::without_secrets);
    let to = &mut config.registrator;
    to.internal = offer.internal;
    to.explicit = offer.explicit;
    to.tags.clone_from(&offer.tags);
    to.allow_http_get = offer.allow_http_get;
    to.use_ip_from_label.clone_from(&offer.use_ip_from_label);
    to.cleanup = flags.cleanup;
    to.deregister = flags.deregister.as_deref().map(|when| match when {
        "on-success" => When::OnSuccess,
        _ => When::Always,
    });
    to.resync = seconds(flags.resync);
    to.retry_attempts = flags.retry_attempts;
    let interval = flags.retry_interval.map(i64::unsigned_abs);
    to.retry_interval = interval.map(std::time::Duration::from_millis);
    to.ttl = seconds(flags.ttl);
    to.ttl_refresh = seconds(flags.ttl_refresh);
    config
}

fn matches(command: &Command, words: Vec<OsString>) -> Option<ArgMatches> {
    let words = go_flags::to_long(words, command).ok()?;
    let all = command.clone().try_get_matches_from(words).ok()?;
    Some(all.subcommand_matches("config")?.subcommand_matches("show")?.clone())
}

/// Whether a flag or a variable says it, and which.
fn source_of(command: &Command, matches: &ArgMatches, flag: &str) -> Option<String> {
    let source = matches.value_source(flag)?;
    let show = command.find_subcommand("config")?.find_subcommand("show")?;
    let flag = show.get_arguments().find(|one| one.get_id() == flag)?;
    match source {
        ValueSource::CommandLine => Some(match flag.get_long() {
            Some(long) => format!("flag --{long}"),
            None => "command line".into(),
        }),
        ValueSource::EnvVariable => Some(format!("variable {}", flag.get_env()?.to_string_lossy())),
        _ => None,
    }
}

/// The keys, without what follows them, that the bundle says: its stages, and what it puts in the
/// place of the host's word.
fn of_bundle(host: &Config, layered: &Layered) -> Vec<String> {
    if !layered.stages.values().any(|layer| *layer == Layer::Bundle) {
        return Vec::new();
    }
    let config = &layered.config;
    let stages = config.pipeline.iter().enumerate();
    let ours = stages.filter(|(_, stage)| layered.stages.get(&stage.name) == Some(&Layer::Bundle));
    let mut keys: Vec<_> = ours.map(|(n, _)| format!("pipeline[{n}].")).collect();
    // What stages may use is never the host's.
    keys.push("limits.".into());
    for (key, differs) in [
        ("containers.", config.containers != host.containers),
        ("address.", config.address != host.address),
    ] {
        keys.extend(differs.then(|| key.to_string()));
    }
    keys
}

/// What the file says, its stages at the places that they have below a bundle.
fn with_stages_of(mut said: toml::Table, layered: &Layered) -> toml::Table {
    let none = || toml::Value::Table(toml::Table::new());
    let Some(toml::Value::Array(own)) = said.get_mut("pipeline") else { return said };
    let placed = layered.config.pipeline.iter().map(|stage| {
        let is_it = |one: &&toml::Value| {
            let name = one.get("name").and_then(toml::Value::as_str);
            name == Some(&stage.name) && layered.stages.get(&stage.name) != Some(&Layer::Bundle)
        };
        own.iter().find(is_it).cloned().unwrap_or_else(none)
    });
    *own = placed.collect();
    said
}

struct Shown {
    /// The keys, without what follows them, that the bundle says.
    bundle: Vec<String>,
    /// Where keys come from that the file does not say.
    sources: BTreeMap<String, String>,
    json: Map<String, Value>,
    text: String,
}

impl Shown {
    /// A table's values, and then its tables.
    fn table(&mut self, at: &str, value: &Value, said: &Value) {
        let Some(fields) = value.as_object() else { return };
        let is_table = |key: &str, value: &Value| {
            let tables = value.as_array().is_some_and(|all| key == "pipeline" && !all.is_empty());
            value.is_object() && key != "settings" && key != "resolve" || tables
        };
        for (key, value) in fields.iter().filter(|(key, value)| !is_table(key, value)) {
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            // The path as the sources have it is without the number of a stage.
            let in_file = said.get(key).or_else(|| said.get(key.replace('-', "_"))).is_some();
            let ours = self.bundle.iter().any(|key| path.starts_with(key.as_str()));
            let source = match self.sources.get(&path) {
                _ if ours => "bundle".into(),
                Some(source) => source.clone(),
                None if in_file => "file".into(),
                None => "default".into(),
            };
            let _ = match value {
                Value::Null => writeln!(self.text, "# {key} is not set"),
                value => writeln!(self.text, "{key} = {}  # {source}", toml_of(value)),
            };
            self.json.insert(path, json!({ "value": value, "source": source }));
        }
        for (key, value) in fields.iter().filter(|(key, value)| is_table(key, value)) {
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            let none = Value::Null;
            match value.as_array() {
                Some(all) => {
                    for (n, one) in all.iter().enumerate() {
                        let _ = writeln!(self.text, "\n[[{path}]]");
                        let said = said.get(key).and_then(|all| all.get(n)).unwrap_or(&none);
                        self.table(&format!("{path}[{n}]"), one, said);
                    }
                }
                None => {
                    // Within an array of tables the number is not part of a table's name.
                    let name = path.split('[').next().unwrap_or_default();
                    let rest = path.rsplit_once(']').map_or("", |(_, rest)| rest);
                    let name =
                        if path.contains('[') { format!("{name}{rest}") } else { path.clone() };
                    let _ = writeln!(self.text, "\n[{name}]");
                    self.table(&path, value, said.get(key).unwrap_or(&none));
                }
            }
        }
    }
}

/// A value as TOML writes it on one line.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(all) => {
            let all: Vec<_> = all.iter().map(toml_of).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            let fields: Vec<_> = fields
                .map(|(key, value)| format!("{} = {}", key_of(key), toml_of(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        // JSON's escapes are TOML's, too.
        value => text::json(&value.to_string()).into_owned(),
    }
}

fn key_of(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match !key.is_empty() && key.chars().all(bare) {
        true => key.into(),
        false => text::json(&Value::from(key).to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::Invocation;

    fn shown(words: &[&str]) -> (String, Value) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let run = |more: &[&str]| {
            let words: Vec<_> =
                words.iter().cloned().chain(more.iter().map(OsString::from)).collect();
            let Ok(Invocation::Config(args)) = crate::cli::parse(words.clone()) else {
                panic!("{words:?}")
            };
            config(&args, words).expect("it is shown").text
        };
        (run(&[]), serde_json::from_str(&run(&["--json"])).expect("JSON"))
    }

    #[test]
    fn each_value_says_where_it_comes_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("w.toml");
        let text = "[host]\nname = 'of-the-file'\naddress = '192.0.2.1'\n\
            [registry]\nuri = 'consul://u:hunter2@192.0.2.3:8500'\n\
            [registrator]\nresync = 60\n[listen]\nhosts = ['a', 'b']\n\
            [[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
            [[pipeline]]\nname = 'x'\nfile = 'x.wasm'\nsettings = { 'a b' = { token = 'hunter2' } }\n\
            grant.env = ['TEAM']\n";
        fs::write(&file, text).expect("it is written");
        let file = file.display().to_string();
        let (text, json) =
            shown(&["wharfinger", "config", "show", "--config", &file, "-ip", "192.0.2.9"]);
        for (key, value, source) in [
            ("host.address", json!("192.0.2.9"), "flag --ip"),
            ("host.name", json!("of-the-file"), "file"),
            ("registrator.resync", json!("1m"), "file"),
            ("registrator.ttl", Value::Null, "default"),
            ("guard.share", json!(50), "default"),
            ("limits.timeout", json!("200ms"), "default"),
            ("listen.hosts", json!(["a", "b"]), "file"),
            ("pipeline[1].grant.env", json!(["TEAM"]), "file"),
            ("pipeline[1].mode", json!("enforce"), "default"),
            ("lifecycle.rename", json!("swap"), "default"),
        ] {
            assert_eq!(json[key], json!({ "value": value, "source": source }), "{key} of {json:#}");
        }
        assert!(!text.contains("hunter2") && !json.to_string().contains("hunter2"), "{text}");
        // It is TOML that says the same again.
        let again: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(again["host"]["address"].as_str(), Some("192.0.2.9"));
        assert!(toml::from_str::<Config>(&text).is_ok(), "{text}");
        assert!(text.contains("address = \"192.0.2.9\"  # flag --ip\n"), "{text}");
    }

    #[test]
    fn every_flag_with_a_key_is_known() {
        let command = Cli::command();
        let run = command.find_subcommand("run").expect("the command");
        let without = ["config", "containers", "confirm", "help"];
        for flag in run.get_arguments().map(|flag| flag.get_id().as_str()) {
            let known = KEYS.iter().any(|(id, _)| *id == flag);
            assert!(known != without.contains(&flag), "{flag}");
        }
        let all = serde_json::to_value(Config::default()).expect("it is written");
        for (_, key) in KEYS {
            let pointer = format!("/{}", key.replace('.', "/"));
            assert!(all.pointer(&pointer).is_some(), "{key} is no key");
        }
    }
}
