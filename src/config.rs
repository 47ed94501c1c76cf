//! The configuration file: the registry, the pipeline as an ordered array of
//! stages, and the limits of what they may use.
//!
//! Unknown keys are refused. Every fault is reported, not just the first.

mod address;
mod containers;
mod stage;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use serde::Deserialize;

use crate::{
    host::Compat,
    plugin::Limits,
    reconcile::{GuardLimits, Lifecycle},
};

pub use address::Address;
pub use containers::Containers;
pub use stage::{Grant, StageConfig};

/// What the file says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Whose rules hold where registrator's behaviour is a bug.
    pub compat: Option<Compat>,
    /// Where services are registered.
    pub registry: Registry,
    /// What a stage may use unless it says otherwise.
    pub limits: DefaultLimits,
    /// How a container's life shows in its services.
    pub lifecycle: Lifecycle,
    /// How much a change may take out of the catalog at once.
    pub guard: GuardLimits,
    /// Which containers are looked at.
    pub containers: Containers,
    /// Under which address a container is offered.
    pub address: Address,
    /// The stages in their order.
    pub pipeline: Vec<StageConfig>,
}

impl Default for Config {
    /// Without a file the pipeline is the stage that mimics registrator.
    fn default() -> Self {
        Self {
            compat: None,
            registry: Registry::default(),
            limits: DefaultLimits::default(),
            lifecycle: Lifecycle::default(),
            guard: GuardLimits::default(),
            containers: Containers::default(),
            address: Address::default(),
            pipeline: vec![StageConfig::registrator()],
        }
    }
}

/// Where services are registered.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Registry {
    /// A URI such as `consul://127.0.0.1:8500`. The command line's wins.
    pub uri: Option<String>,
}

/// What a stage may use unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DefaultLimits {
    /// The time of one call.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The memory of one call.
    pub memory: ByteSize,
    /// How many calls of components may run at once.
    pub concurrency: usize,
}

impl Default for DefaultLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_millis(200), memory: ByteSize::mib(64), concurrency: 8 }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is not TOML, or a key is unknown or has a value of the wrong kind.
    #[error("{}: {_1}", _0.display())]
    Parse(PathBuf, Box<toml::de::Error>),
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
        let text =
            fs::read_to_string(path).map_err(|error| ConfigError::Read(path.into(), error))?;
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
        let mut config: Self = toml::from_str(text)
            .map_err(|error| ConfigError::Parse(path.into(), Box::new(error)))?;
        let faults = config.faults();
        for stage in &mut config.pipeline {
            stage.file = stage.file.take().map(|file| folder.join(file));
        }
        Ok((config, faults))
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
        let limits = DefaultLimits::default();
        if timeout(self.limits.timeout).is_err() {
            self.limits.timeout = limits.timeout;
        }
        if memory(self.limits.memory).is_err() {
            self.limits.memory = limits.memory;
        }
        self.limits.concurrency = self.limits.concurrency.clamp(1, 256);
        self.pipeline.retain(|stage| stage.faults().is_empty());
        self
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.lifecycle.faults();
        faults.extend(self.guard.fault());
        let mut fault = |place: &str, text: String| faults.push(format!("{place}: {text}"));
        if self.limits.concurrency == 0 || self.limits.concurrency > 256 {
            fault("limits.concurrency", "it must be from 1 to 256".into());
        }
        if let Err(text) = timeout(self.limits.timeout) {
            fault("limits.timeout", text);
        }
        if let Err(text) = memory(self.limits.memory) {
            fault("limits.memory", text);
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
            for text in stage.faults() {
                fault(&place, text);
            }
        }
        faults.extend(self.containers.selector().err());
        faults.extend(self.address.rules().err().into_iter().flatten());
        faults
    }

    /// What a stage may use in one call.
    pub fn limits_of(&self, stage: &StageConfig) -> Limits {
        Limits {
            timeout: stage.timeout.unwrap_or(self.limits.timeout),
            memory: stage.memory.unwrap_or(self.limits.memory),
        }
    }
}

fn timeout(value: Duration) -> Result<(), String> {
    let (least, most) = (Limits::MIN_TIMEOUT, Limits::MAX_TIMEOUT);
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!(
        "{} is not between {} and {}",
        humantime::format_duration(value),
        humantime::format_duration(least),
        humantime::format_duration(most)
    ))
}

fn memory(value: ByteSize) -> Result<(), String> {
    let (least, most) = (Limits::MIN_MEMORY, Limits::MAX_MEMORY);
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!("{value} is not between {least} and {most}"))
}

#[cfg(test)]
mod tests {
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
            [[pipeline]]
            name = "registrator"
            builtin = "registrator"
            [[pipeline]]
            name = "convention"
            file = "convention.wasm"
            timeout = "20ms"
            settings = { tag = "x" }
            grant.env = ["SERVICE_*", "TEAM"]
            "#,
        )
        .expect("the file is right");
        let stage = &config.pipeline[1];
        assert_eq!(stage.file.as_deref(), Some(Path::new("/etc/convention.wasm")));
        let limits = Limits { timeout: Duration::from_millis(20), memory: ByteSize::mib(32) };
        assert_eq!(config.limits_of(stage), limits);
        assert!(stage.grant.visible_env().expect("patterns").is_match("TEAM"));
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
            [[pipeline]]
            name = "a"
            [[pipeline]]
            name = "a"
            builtin = "registrator"
            memory = "1KiB"
            grant.env = ["{"]
            "#,
        )
        .expect_err("there are faults");
        for part in [
            "wharfinger.toml",
            "limits.timeout: 1ms",
            "limits.concurrency",
            "\"a\": it needs either builtin or file",
            "another stage has this name",
            "memory: 1.0 KiB",
            "grant.env",
        ] {
            assert!(faults.contains(part), "{part:?} is not in {faults}");
        }
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
