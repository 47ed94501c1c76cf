//! The configuration file: the registry, the pipeline as an ordered array of
//! stages, and the limits of what they may use.
//!
//! Unknown keys are refused. Every fault is reported, not just the first.

mod address;
mod cache;
mod containers;
mod daemon;
mod decisions;
mod grant;
mod host;
mod limits;
mod listen;
mod policy;
mod member;
mod registrator;
mod schema;
mod stage;
mod telemetry;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    files,
    model::host::Compat,
    pipeline::Bounds,
    reconcile::{GuardLimits, Lifecycle},
    stages::plugin::Limits,
    tables,
};

pub use address::Address;
pub use cache::CacheConfig;
pub use containers::Containers;
pub use daemon::{DaemonConfig, LogFormat};
pub use decisions::DecisionsConfig;
pub use grant::Grant;
pub use host::HostConfig;
pub use limits::{DefaultLimits, StageLimits};
pub use listen::{Listen, ListenConfig};
pub use member::FleetConfig;
pub use policy::{KeyConfig, PolicyConfig, PolicySource, TrustConfig};
pub use registrator::{Registrator, When};
pub use schema::SCHEMA;
pub use stage::StageConfig;
pub use telemetry::TelemetryConfig;

/// What the file says of the process; the rest of it may be wrong.
#[derive(Deserialize)]
struct Process {
    daemon: Option<DaemonConfig>,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Whose rules hold where registrator's behaviour is a bug.
    pub compat: Option<Compat>,
    /// Whether the daemon refuses to start without all of its stages.
    pub strict_start: bool,
    /// Where services are registered.
    pub registry: Registry,
    /// What this host is called, and where others find it.
    pub host: HostConfig,
    /// registrator's flags that have no better place.
    pub registrator: Registrator,
    /// How the process runs.
    pub daemon: DaemonConfig,
    /// Where it is looked at over HTTP.
    pub listen: ListenConfig,
    /// Whether the daemon registers itself.
    pub fleet: FleetConfig,
    /// Where what is decided is written down.
    pub decisions: DecisionsConfig,
    /// Where traces are sent.
    pub telemetry: TelemetryConfig,
    /// From where this host takes its policy.
    pub policy: PolicyConfig,
    /// What a stage may use unless it says otherwise.
    #[cfg_attr(test, schemars(with = "limits::shape::DefaultShape"))]
    pub limits: DefaultLimits,
    /// How a container's life shows in its services.
    pub lifecycle: Lifecycle,
    /// How much a change may take out of the catalog at once.
    pub guard: GuardLimits,
    /// Which containers are looked at.
    pub containers: Containers,
    /// Under which address a container is offered.
    pub address: Address,
    /// Where compiled components are kept.
    pub cache: CacheConfig,
    /// The stages in their order.
    pub pipeline: Vec<StageConfig>,
}

impl Default for Config {
    /// Without a file the pipeline is the stage that mimics registrator.
    fn default() -> Self {
        Self {
            compat: None,
            strict_start: false,
            registry: Registry::default(),
            host: HostConfig::default(),
            registrator: Registrator::default(),
            daemon: DaemonConfig::default(),
            listen: ListenConfig::default(),
            fleet: FleetConfig::default(),
            decisions: DecisionsConfig::default(),
            telemetry: TelemetryConfig::default(),
            policy: PolicyConfig::default(),
            limits: DefaultLimits::default(),
            lifecycle: Lifecycle::default(),
            guard: GuardLimits::default(),
            containers: Containers::default(),
            address: Address::default(),
            cache: CacheConfig::default(),
            pipeline: vec![StageConfig::registrator()],
        }
    }
}

/// Where services are registered.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Registry {
    /// A URI such as `consul://127.0.0.1:8500`. The command line's wins.
    pub uri: Option<String>,
    /// Whether services are marked as the daemon's own; they are if nothing is said.
    pub provenance: Option<bool>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is not TOML, or a key is unknown or has a value of the wrong kind.
    #[error("{}: {_1}", _0.display())]
    Parse(PathBuf, String),
    /// It makes no sense.
    #[error("{}: {}", .path.display(), .faults.join("; "))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Every fault.
        faults: Vec<String>,
    },
}

impl Config {
    /// Read a file.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let (config, faults) = Self::read_with_faults(path)?;
        config.without(faults, path)
    }

    /// Read a file, and say what makes no sense in it.
    ///
    /// # Errors
    ///
    /// It cannot be read, or its form is wrong.
    pub fn read_with_faults(path: &Path) -> Result<(Self, Vec<String>), ConfigError> {
        let text = files::read_text(path, files::TEXT)
            .map_err(|error| ConfigError::Read(path.into(), error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse_with_faults(&text, path, folder)
    }

    /// Read the text of the file `path`; files of stages are relative to
    /// `folder`.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn parse(text: &str, path: &Path, folder: &Path) -> Result<Self, ConfigError> {
        let (config, faults) = Self::parse_with_faults(text, path, folder)?;
        config.without(faults, path)
    }

    fn parse_with_faults(
        text: &str,
        path: &Path,
        folder: &Path,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let mut config: Self =
            tables::read(text).map_err(|fault| ConfigError::Parse(path.into(), fault))?;
        let faults = config.faults();
        let said = config.cache.dir.take_if(|dir| !dir.as_os_str().is_empty());
        config.cache.dir = said.map(|dir| folder.join(dir)).or(config.cache.dir);
        config.daemon = config.daemon.below(folder);
        config.listen = config.listen.below(folder);
        config.decisions = config.decisions.below(folder);
        config.policy = config.policy.below(folder);
        config.telemetry = config.telemetry.below(folder);
        for stage in &mut config.pipeline {
            stage.file = stage.file.take().map(|file| folder.join(file));
        }
        Ok((config, faults))
    }

    /// What a file says of the process. It counts before the file is judged, so that the
    /// file's faults are said in the form that it asks for; what cannot be read says nothing.
    pub fn daemon(path: &Path) -> Option<DaemonConfig> {
        let text = files::read_text(path, files::TEXT).ok()?;
        let Process { daemon } = tables::read(&text).ok()?;
        Some(daemon?.below(path.parent().unwrap_or(Path::new(""))))
    }

    fn without(self, faults: Vec<String>, path: &Path) -> Result<Self, ConfigError> {
        if faults.is_empty() {
            Ok(self)
        } else {
            Err(ConfigError::Invalid { path: path.into(), faults })
        }
    }

    /// The configuration without what makes no sense in it, so that the rest can
    /// be tried.
    pub fn loadable(mut self) -> Self {
        if !self.limits.faults().is_empty() {
            self.limits = DefaultLimits::default();
        }
        if self.cache.fault().is_some() {
            self.cache = CacheConfig::default();
        }
        let limits = self.limits.clone();
        self.pipeline
            .retain(|stage| stage.faults().is_empty() && limits.faults_of(stage).is_empty());
        self
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.lifecycle.faults();
        faults.extend(self.guard.fault());
        faults.extend(self.host.faults());
        faults.extend(self.registrator.faults());
        faults.extend(self.listen.faults());
        faults.extend(self.decisions.faults());
        faults.extend(self.telemetry.fault());
        faults.extend(self.policy.faults());
        faults.extend(self.fleet.fault());
        let mut fault = |place: &str, text: String| faults.push(format!("{place}: {text}"));
        for (key, text) in self.limits.faults() {
            fault(&format!("limits.{key}"), text);
        }
        if let Some(text) = self.cache.fault() {
            fault("cache.size", text);
        }
        if self.pipeline.is_empty() {
            fault("pipeline", "it has no stage".into());
        }
        for (index, stage) in self.pipeline.iter().enumerate() {
            let place = format!("pipeline stage {:?}", stage.name);
            if stage.name.trim().is_empty() {
                fault(&format!("pipeline stage {}", index + 1), "its name is empty".into());
            }
            if self.pipeline[..index].iter().any(|other| other.name == stage.name) {
                fault(&place, "another stage has this name".into());
            }
            for text in stage.faults().into_iter().chain(self.limits.faults_of(stage)) {
                fault(&place, text);
            }
        }
        faults.extend(self.containers.selector().err());
        faults.extend(self.address.rules().err().into_iter().flatten());
        faults
    }

    /// What containers may ask for.
    pub fn bounds(&self) -> Bounds {
        self.limits.bounds(&self.pipeline)
    }

    /// What a stage may use in one call.
    pub fn limits_of(&self, stage: &StageConfig) -> Limits {
        self.limits.of(stage)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytesize::ByteSize;

    use super::*;
    use crate::pipeline::{Mode, OnError};

    fn parse(text: &str) -> Result<Config, String> {
        let path = Path::new("wharfinger.toml");
        Config::parse(text, path, Path::new("/etc")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = parse(
            r#"
            compat = "registrator"
            [registry]
            uri = "consul://10.0.0.1:8500"
            [limits]
            timeout = "50ms"
            memory = "32MiB"
            log-lines = 7
            [cache]
            dir = "code"
            size = "2MiB"
            [[pipeline]]
            name = "registrator"
            builtin = "registrator"
            [[pipeline]]
            name = "convention"
            file = "convention.wasm"
            timeout = "20ms"
            settings = { tag = "x" }
            limits = { tags = 5, output = "64KiB" }
            grant.env = ["SERVICE_*", "TEAM"]
            grant.http = ["https://policy.example/v1/"]
            grant.kv = "teams"
            "#,
        )
        .expect("the file is right");
        let stage = &config.pipeline[1];
        assert_eq!(stage.file.as_deref(), Some(Path::new("/etc/convention.wasm")));
        let limits = Limits {
            timeout: Duration::from_millis(20),
            memory: ByteSize::mib(32),
            log_lines: 7,
            tags: 5,
            output: ByteSize::kib(64),
            ..Limits::DEFAULT
        };
        assert_eq!(config.limits_of(stage), limits);
        let grants = stage.grant.grants().expect("grants");
        assert!(grants.env.is_match("TEAM") && grants.http.len() == 1 && grants.kv.is_some());
        assert!(!grants.clock && !grants.random);
        let expected = CacheConfig { dir: Some("/etc/code".into()), size: ByteSize::mib(2) };
        assert_eq!(config.cache, expected);
    }

    #[test]
    fn an_empty_file_mimics_registrator() {
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn every_fault_is_said() {
        let faults = parse(
            r#"
            [limits]
            timeout = "1ms"
            concurrency = 0
            stack = "1KiB"
            log-rate = 0
            [cache]
            size = "0B"
            [[pipeline]]
            name = "a"
            [[pipeline]]
            name = "a"
            builtin = "registrator"
            memory = "1KiB"
            limits = { services = 0 }
            grant.env = ["{"]
            grant.http = ["policy.example"]
            grant.kv = "/"
            "#,
        )
        .expect_err("there are faults");
        for part in [
            "wharfinger.toml",
            "limits.timeout: 1ms",
            "limits.concurrency: 0 is not between 1 and 256",
            "limits.stack: 1.0 KiB is not between 64.0 KiB and 8.0 MiB",
            "limits.log-rate: 0 is not between 1 and 100000",
            "cache.size: 0 B is not between 1.0 MiB",
            "\"a\": limits.services: 0 is not between 1 and 10000",
            "grant.http: \"policy.example\": it is not a URL",
            "grant.kv: \"/\"",
            "\"a\": it needs either builtin or file",
            "another stage has this name",
            "memory: 1.0 KiB",
            "grant.env",
        ] {
            assert!(faults.contains(part), "{part:?} is not in {faults}");
        }
        // What stages inherit is said once.
        assert_eq!(faults.matches("log-rate").count(), 1, "{faults}");
    }

    #[test]
    fn a_stages_place_is_read_and_safe_by_default() {
        let config = parse(
            r#"
            [[pipeline]]
            name = "a"
            builtin = "registrator"
            [[pipeline]]
            name = "b"
            file = "b.wasm"
            mode = "monitor"
            on-error = "veto"
            validate-only = true
            "#,
        )
        .expect("the file is right");
        let keys = |stage: &StageConfig| (stage.mode, stage.on_error, stage.validate_only);
        assert_eq!(keys(&config.pipeline[0]), (Mode::Enforce, OnError::Hold, false));
        assert_eq!(keys(&config.pipeline[1]), (Mode::Monitor, OnError::Veto, true));
        for wrong in ["mode = \"watch\"", "on-error = \"ignore\"", "validate-only = 1"] {
            let text = format!("[[pipeline]]\nname = \"a\"\nfile = \"a.wasm\"\n{wrong}\n");
            let fault = parse(&text).expect_err("there is no such value");
            assert!(fault.contains("line 4"), "{fault}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let fault = parse("[limits]\ntimeuot = \"1s\"\n").expect_err("the key is misspelt");
        assert!(fault.contains("timeuot") && fault.contains("line 2"), "{fault}");
    }
}
