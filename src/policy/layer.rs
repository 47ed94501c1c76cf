//! Two layers of one configuration: what a bundle says stands above what the host's own file
//! says. A value without I/O.
//!
//! The order and the rules of the bundle's stages are the bundle's. A host's own stages stand
//! where the bundle has a slot for them, and nowhere else; and nothing that a host says changes
//! what the bundle's stages may use, since one that runs out of time or memory and says
//! `on-error = "skip"` would be as good as dropped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Bundle, Digest};
use crate::{
    config::{Address, Config, StageConfig, StageLimits},
    error::error_chain,
    model::host::Compat,
    pipeline::{Mode, REGISTRATOR},
    tables,
};

pub use crate::model::layer::Layer;

/// The keys that a bundle's document may have: all others belong to one host.
const KEYS: [&str; 5] = ["address", "compat", "containers", "limits", "pipeline"];

/// Why a bundle's document cannot be used; the same on every host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is not TOML, or a value has the wrong kind.
    #[error("{0}")]
    Syntax(String),
    /// It says something that belongs to one host.
    #[error("{_0}: this key belongs to a host's own file; a bundle may say {keys}", keys = KEYS.join(", "))]
    Key(String),
    /// The slot for the host's stages is not as it has to be.
    #[error("pipeline stage {0}: {1}")]
    Slot(usize, &'static str),
    /// A stage does not name a component of the bundle.
    #[error("pipeline stage {stage:?}: file {file:?}: {reason}")]
    Component {
        /// The stage's name.
        stage: String,
        /// The file that it names.
        file: String,
        /// Why that is none.
        reason: String,
    },
}

/// A bundle's document, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    config: Config,
    /// Before which of the bundle's stages the host's own stand.
    slot: Option<usize>,
    says_containers: bool,
    says_address: bool,
}

/// A host's configuration below a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Layered {
    /// The configuration that holds.
    pub config: Config,
    /// Of each stage that is used, whose it is.
    pub stages: BTreeMap<String, Layer>,
    /// The settings of the host's file that do not hold, a text each that names one. `check`
    /// refuses the file for them; a daemon does without them and says so.
    pub overruled: Vec<String>,
}

impl Document {
    /// Read a bundle's document. Its components are, or will be, in the files that `place` gives
    /// for their digests; paths must be absolute.
    ///
    /// # Errors
    ///
    /// See [`DocumentError`].
    pub fn parse(
        bundle: &Bundle,
        place: impl Fn(&Digest) -> PathBuf,
    ) -> Result<Self, DocumentError> {
        let syntax = |error: &dyn std::fmt::Display| DocumentError::Syntax(error.to_string());
        let mut table: toml::Table =
            tables::read(&bundle.document).map_err(DocumentError::Syntax)?;
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(DocumentError::Key(key.clone()));
        }
        let says = |key: &str| table.contains_key(key);
        let (says_containers, says_address) = (says("containers"), says("address"));
        let mut slot = None;
        if let Some(toml::Value::Array(stages)) = table.get_mut("pipeline") {
            slot = take_slot(stages)?;
            for stage in stages {
                located(stage, bundle, &place)?;
            }
        }
        let text = toml::to_string(&table).map_err(|error| syntax(&error))?;
        let config = Config::parse(&text, Path::new("the bundle"), Path::new("/"))
            .map_err(|error| DocumentError::Syntax(error_chain(&error)))?;
        Ok(Self { config, slot, says_containers, says_address })
    }

    /// Whether a daemon with these rules can hold what the bundle says. They count from a
    /// process's start on. A bundle that says nothing wants those that hold by themselves:
    /// otherwise a host's flag would put other rules below it.
    ///
    /// # Errors
    ///
    /// The bundle asks for others; the words say which.
    pub fn fits(&self, compat: Compat) -> Result<(), String> {
        let wanted = self.config.compat.unwrap_or(Compat::None);
        if wanted == compat {
            return Ok(());
        }
        Err(format!("compat: the bundle wants {wanted} and this daemon runs with {compat}"))
    }

    /// The digests of the components by the names of their stages.
    pub fn components(&self) -> impl Iterator<Item = (String, Digest)> {
        self.config.pipeline.iter().filter_map(|stage| {
            let hex = stage.file.as_ref()?.file_stem()?.to_str()?;
            Some((stage.name.clone(), format!("sha256:{hex}").parse().ok()?))
        })
    }

    /// Put the bundle above what a host's file says.
    #[must_use]
    pub fn over(&self, host: &Config) -> Layered {
        let mut overruled = Vec::new();
        let own = own_stages(host);
        let (fitting, faults): (Vec<_>, Vec<_>) =
            own.iter().map(|stage| (stage, self.fault_of(stage))).partition(|(_, f)| f.is_none());
        for (stage, fault) in faults {
            let fault = fault.unwrap_or_default();
            overruled.push(format!("pipeline stage {:?}: {fault}", stage.name));
        }
        let fresh = Config::default();
        let mut address = self.config.address.clone();
        // A bundle cannot have addresses, which are true of one host. Without a family they have no meaning.
        if address.family.is_some() {
            (address.host_ipv4, address.host_ipv6) =
                (host.address.host_ipv4, host.address.host_ipv6);
        }
        for (key, said) in [
            ("limits", host.limits != fresh.limits && host.limits != self.config.limits),
            (
                "containers",
                self.says_containers && differs(&host.containers, &self.config.containers),
            ),
            ("address", self.says_address && differs(&shared(&host.address), &self.config.address)),
        ] {
            if said {
                overruled.push(format!("{key}: the bundle says this"));
            }
        }
        let mut config = Config { limits: self.config.limits.clone(), ..host.clone() };
        if self.says_containers {
            config.containers = self.config.containers.clone();
        }
        if self.says_address {
            config.address = address;
        }
        config.pipeline.clone_from(&self.config.pipeline);
        let mut stages: BTreeMap<_, _> =
            config.pipeline.iter().map(|stage| (stage.name.clone(), Layer::Bundle)).collect();
        if let Some(slot) = self.slot {
            let fitting = fitting.into_iter().map(|(stage, _)| stage.clone());
            config.pipeline.splice(slot..slot, fitting);
        }
        for stage in &config.pipeline {
            stages.entry(stage.name.clone()).or_insert(Layer::Host);
        }
        Layered { config, stages, overruled }
    }

    /// Why a stage of a host cannot stand in the bundle's slot.
    fn fault_of(&self, stage: &StageConfig) -> Option<String> {
        let Some(slot) = self.slot else {
            return Some("the bundle has no slot for a host's stages".into());
        };
        if self.config.pipeline.iter().any(|other| other.name == stage.name) {
            return Some("a stage of the bundle has this name".into());
        }
        // A service that a stage of the bundle has let pass, or vetoed, nobody may change behind its back.
        let before = self.config.pipeline.iter().take(slot);
        let judges = |one: &StageConfig| {
            one.mode == Mode::Enforce && one.builtin.as_deref() != Some(REGISTRATOR)
        };
        if !stage.validate_only && before.into_iter().any(judges) {
            return Some("behind the bundle's stages it needs validate-only = true".into());
        }
        // Some of a stage's limits are limits for all that containers may ask for.
        let own = stage.timeout.is_some()
            || stage.memory.is_some()
            || stage.limits != StageLimits::default();
        own.then(|| "timeout, memory and limits are the bundle's".into())
    }
}

/// The stages that a host's file says; without any it means the one that mimics registrator,
/// which is no word of the host.
fn own_stages(host: &Config) -> &[StageConfig] {
    match host.pipeline.as_slice() {
        [only] if *only == StageConfig::registrator() => &[],
        all => all,
    }
}

/// A host's settings of addresses that a bundle could have, too.
fn shared(address: &Address) -> Address {
    Address { host_ipv4: None, host_ipv6: None, ..address.clone() }
}

/// Whether a host says something, and something else.
fn differs<T: Default + PartialEq>(host: &T, bundle: &T) -> bool {
    *host != T::default() && host != bundle
}

/// Take the slot out of the stages, and tell where it was.
fn take_slot(stages: &mut Vec<toml::Value>) -> Result<Option<usize>, DocumentError> {
    let is_slot = |stage: &toml::Value| stage.get("slot").is_some();
    let Some(at) = stages.iter().position(is_slot) else { return Ok(None) };
    let slot = stages.remove(at);
    let bad = |index: usize, words| Err(DocumentError::Slot(index + 1, words));
    if slot.get("slot").and_then(toml::Value::as_str) != Some("host") {
        return bad(at, "slot: the only slot there is, is \"host\"");
    }
    if slot.as_table().is_some_and(|table| table.len() > 1) {
        return bad(at, "slot: it stands alone, without other keys");
    }
    if let Some(second) = stages.iter().position(is_slot) {
        return bad(second + 1, "slot: there is one already");
    }
    Ok(Some(at))
}

/// Put the file of a component in the place of its digest.
fn located(
    stage: &mut toml::Value,
    bundle: &Bundle,
    place: impl Fn(&Digest) -> PathBuf,
) -> Result<(), DocumentError> {
    let stage_name =
        stage.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_string();
    let Some(file) = stage.get_mut("file") else { return Ok(()) };
    let text = file.as_str().unwrap_or_default().to_string();
    let wrong = |reason: String| DocumentError::Component {
        stage: stage_name.clone(),
        file: text.clone(),
        reason,
    };
    let digest: Digest = text.parse().map_err(|error| wrong(format!("{error}")))?;
    if !bundle.components.contains_key(&digest) {
        return Err(wrong("the bundle has no such component".into()));
    }
    *file = toml::Value::String(place(&digest).display().to_string());
    Ok(())
}

#[cfg(test)]
mod tests;
