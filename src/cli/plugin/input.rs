//! What the commands are given: settings, grants and limits of the stage, the
//! host's facts, and a recorded container.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use crate::{
    config::Grant,
    docker::{HttpGet, Recorded, Tags},
    error::error_chain,
    files, json,
    model::{
        container::Container,
        host::{Compat, Host},
    },
    stages::plugin::Limits,
    tables,
};

/// What the stage is told and granted.
#[derive(Debug, Clone, Args)]
pub(super) struct StageArgs {
    /// The settings: JSON, or a file that ends in .json or .toml.
    #[arg(long, value_name = "FILE|JSON")]
    settings: Option<String>,

    /// What the stage is granted, as the table `grant` of the configuration
    /// file: JSON, or a file that ends in .json or .toml.
    #[arg(long, value_name = "FILE|JSON")]
    grant: Option<String>,

    /// The registry whose KV store the stage reads, if it is granted that.
    #[arg(long, value_name = "URI")]
    pub(super) registry: Option<String>,

    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

/// The settings and grants of a stage.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// In JSON.
    pub(super) settings: String,
    pub(super) grant: Grant,
}

impl StageArgs {
    /// The settings and grants, `{}` where nothing is said.
    pub(super) fn told(&self) -> Result<Told, Failure> {
        let settings =
            self.settings.as_deref().map(|text| table("--settings", text)).transpose()?;
        let grant = self.grant.as_deref().map(|text| table("--grant", text)).transpose()?;
        let grant = grant.as_ref().map(json::from_value).transpose();
        Ok(Told {
            settings: settings.map_or("{}".into(), |value| value.to_string()),
            grant: grant
                .map_err(|fault| Failure::new(format!("--grant: {fault}")))?
                .unwrap_or_default(),
        })
    }
}

/// What a call may use.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct LimitArgs {
    /// The time of one call [default: 200ms, and 5s for `test`].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,

    /// The memory of one call [default: 64MiB].
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
}

impl LimitArgs {
    /// The limits; the time is `timeout` where nothing is said. A component may
    /// have as many parts as any stage may be allowed: `inspect` says what it
    /// needs.
    pub(super) fn limits(&self, timeout: Duration) -> Result<Limits, Failure> {
        let limits = Limits {
            timeout: self.timeout.unwrap_or(timeout),
            memory: self.memory.unwrap_or(Limits::DEFAULT.memory),
            instances: *Limits::INSTANCES.end(),
            ..Limits::DEFAULT
        };
        let faults = limits.faults();
        let faults: Vec<_> = faults.iter().map(|(key, text)| format!("--{key}: {text}")).collect();
        if faults.is_empty() { Ok(limits) } else { Err(Failure::new(faults.join("; "))) }
    }
}

/// A table of the configuration, from a flag: JSON, or a file with it.
fn table(flag: &str, text: &str) -> Result<Value, Failure> {
    let wrong = |fault: String| Failure::new(format!("{flag}: {fault}"));
    if text.trim_start().starts_with(['{', '[', '"']) || text.trim() == "null" {
        return serde_json::from_slice(text.as_bytes())
            .map_err(|error| wrong(format!("{text}: {error}")));
    }
    let path = Path::new(text);
    let content = read(path).map_err(|failure| {
        wrong(failure.message)
            .hint("give JSON in quotes, such as '{\"key\": \"value\"}', or a file")
    })?;
    parse(path, &content).map_err(wrong)
}

/// A file's content as a value, by its ending.
pub(super) fn parse(path: &Path, content: &str) -> Result<Value, String> {
    let named = |fault: String| format!("{}: {fault}", path.display());
    if path.extension().is_some_and(|ending| ending == "toml") {
        let table: toml::Table = tables::read(content).map_err(named)?;
        return serde_json::to_value(table).map_err(|error| named(error.to_string()));
    }
    serde_json::from_slice(content.as_bytes()).map_err(|error| named(error.to_string()))
}

/// A file's text; `-` is the standard input.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let result = match path == Path::new("-") {
        true => std::io::stdin().take(files::TEXT).read_to_string(&mut text).map(|_| text),
        false => files::read_text(path, files::TEXT),
    };
    result.map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// The host that a container is looked at on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HostArgs {
    /// The host name that service IDs begin with.
    #[arg(long, value_name = "NAME", default_value = "host")]
    hostname: String,

    /// The host's address.
    #[arg(long, value_name = "ADDRESS", default_value = "192.0.2.1")]
    ip: String,

    /// Offer the containers' own addresses and ports instead of published ones.
    #[arg(long)]
    internal: bool,

    /// Only offer what has SERVICE_NAME set.
    #[arg(long)]
    explicit: bool,

    /// Tags for all services, as the daemon's -tags.
    #[arg(long, value_name = "TAGS", default_value = "")]
    tags: String,
}

impl Default for HostArgs {
    fn default() -> Self {
        Self {
            hostname: "host".into(),
            ip: "192.0.2.1".into(),
            internal: false,
            explicit: false,
            tags: String::new(),
        }
    }
}

impl HostArgs {
    /// The host's facts.
    pub(super) fn host(&self) -> Host {
        let on = |flag: bool| flag.then(|| "true".to_string());
        let text = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let flags = [
            ("hostname", text(&self.hostname)),
            ("ip", text(&self.ip)),
            ("internal", on(self.internal)),
            ("explicit", on(self.explicit)),
            ("tags", text(&self.tags)),
            ("compat", Some(Compat::None.to_string())),
        ];
        let flag = |(name, value): (&str, Option<String>)| Some((name.to_string(), value?));
        Host {
            hostname: self.hostname.clone(),
            forced_address: text(&self.ip),
            resolved_address: None,
            internal: self.internal,
            explicit: self.explicit,
            address_label: None,
            compat: Compat::None,
            flags: flags.into_iter().filter_map(flag).collect(),
            agent: None,
            engine: None,
        }
    }

    fn template(&self) -> Result<Tags, Failure> {
        Tags::parse(&self.tags, HttpGet::Forbidden)
            .map_err(|error| Failure::new(format!("tags: {}", error_chain(&error))))
    }

    /// The first container of a file that `docker inspect` has printed.
    pub(super) fn container(&self, file: &Path) -> Result<Container, Failure> {
        let text = read(file)?;
        Recorded::first(text.as_bytes(), file, &self.template()?).map_err(|error| {
            Failure::new(error_chain(&error))
                .hint("record one with `docker inspect CONTAINER > container.json`")
        })
    }
}

/// A container on a host.
#[derive(Debug, Clone, Args)]
pub(super) struct ContainerArgs {
    /// What `docker inspect` prints of the container; `-` for the standard
    /// input. Of several containers the first one counts; the others are there
    /// for one whose network it shares.
    #[arg(long, value_name = "FILE")]
    pub(super) container: PathBuf,

    #[command(flatten)]
    pub(super) host: HostArgs,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_json_or_a_file_of_either_form() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("the file is written");
            path.display().to_string()
        };
        let expected = json!({ "label": "team", "required": true });
        for text in [
            r#" {"label": "team", "required": true}"#.to_string(),
            file("a.json", r#"{"label": "team", "required": true}"#),
            file("a.toml", "label = 'team'\nrequired = true\n"),
        ] {
            assert_eq!(table("--settings", &text), Ok(expected.clone()), "{text}");
        }
        for (text, part) in [
            ("{".to_string(), "--settings: {: EOF"),
            (file("b.toml", "label ="), "b.toml"),
            ("/nowhere/x.json".into(), "cannot read /nowhere/x.json"),
        ] {
            let failure = table("--settings", &text).expect_err("it is no table");
            assert!(failure.message.contains(part), "{failure:?}");
        }
    }

    #[test]
    fn a_limit_out_of_its_bounds_is_refused_by_its_flag() {
        let args = LimitArgs { timeout: Some(Duration::from_millis(1)), memory: None };
        let failure = args.limits(Duration::from_secs(1)).expect_err("1 ms is too little");
        assert!(failure.message.starts_with("--timeout: 1ms"), "{failure:?}");
        let args = LimitArgs { timeout: None, memory: Some(ByteSize::mib(32)) };
        let limits = args.limits(Duration::from_secs(1)).expect("sound limits");
        assert_eq!((limits.timeout, limits.memory), (Duration::from_secs(1), ByteSize::mib(32)));
    }

    #[test]
    fn the_hosts_facts_are_those_of_the_same_flags_of_the_daemon() {
        let args = HostArgs { internal: true, tags: "a,b".into(), ..HostArgs::default() };
        let host = args.host();
        assert_eq!((host.hostname.as_str(), host.address()), ("host", Some("192.0.2.1")));
        assert!(host.internal && !host.explicit);
        let flags: Vec<_> = host.flags.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            flags,
            ["compat=none", "hostname=host", "internal=true", "ip=192.0.2.1", "tags=a,b"]
        );
    }
}
