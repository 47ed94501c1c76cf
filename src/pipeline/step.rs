//! A stage in its place in the pipeline: what its word counts for, which
//! containers it is for, and how it has fared.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Stage, StageError, StageHealth, digest::Digest, health::Record};
use crate::{
    error::error_chain,
    model::{container::Container, layer::Layer},
    select::Selector,
};

/// The name that the stage gives itself that reads what containers say of themselves, whether it
/// is linked into the daemon or loaded as a component.
pub(crate) const REGISTRATOR: &str = "registrator";

/// Whether a stage's word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is called and its answer is compared, and nothing else: later stages
    /// and the outcome see what the enforced ones made.
    Monitor,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Enforce => "enforce",
            Mode::Monitor => "monitor",
        })
    }
}

/// What becomes of a container that an enforced stage fails on. Whichever it
/// is, the stage is asked again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// It keeps the registrations that it has.
    #[default]
    Hold,
    /// It is handled as if there were no such stage.
    Skip,
    /// Nothing of it is registered, and what is registered is removed.
    Veto,
}

impl fmt::Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnError::Hold => "hold",
            OnError::Skip => "skip",
            OnError::Veto => "veto",
        })
    }
}

/// A choice of the containers that a stage is for.
#[async_trait::async_trait]
pub trait Selects: fmt::Debug + Send + Sync {
    /// Whether this is one of them.
    ///
    /// # Errors
    ///
    /// It cannot be said; the text says why.
    fn selects(&self, container: &Container) -> Result<bool, String>;

    /// The same, without keeping the thread where that takes long.
    ///
    /// # Errors
    ///
    /// As for [`Selects::selects`].
    async fn decide(&self, container: &Container) -> Result<bool, String> {
        self.selects(container)
    }
}

#[async_trait::async_trait]
impl Selects for Selector {
    fn selects(&self, container: &Container) -> Result<bool, String> {
        self.matches(container).map_err(|error| error_chain(&error))
    }

    async fn decide(&self, container: &Container) -> Result<bool, String> {
        Selector::decide(self, container).await.map_err(|error| error_chain(&error))
    }
}

/// The operator's rules for a stage's place in the pipeline.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Whether its word counts.
    pub mode: Mode,
    /// The handling of a container that it fails on.
    pub on_error: OnError,
    /// It may keep and veto; a change or an addition is an error of the stage.
    pub validate_only: bool,
    /// The containers that it is for; all if none.
    pub select: Option<Arc<dyn Selects>>,
}

/// The plugin and settings that a stage is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The name that the plugin gives itself.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// A digest of its code, in hexadecimal; empty for a built-in stage.
    pub digest: String,
    /// The settings, and whatever else of the configuration bears on the answers.
    #[serde(skip)]
    pub settings: String,
}

impl Made {
    /// The first twelve digits of the digest, for people; `built-in` without one.
    pub fn short_digest(&self) -> &str {
        match self.digest.get(..12) {
            Some(digits) => digits,
            None if self.digest.is_empty() => "built-in",
            None => &self.digest,
        }
    }

    /// A digest of the stage's identity: stages of equal digests give equal answers
    /// to equal input.
    pub(super) fn fingerprint(&self) -> Digest {
        let mut digest = Sha256::new();
        for part in [&self.plugin, &self.version, &self.digest, &self.settings] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// A note on a stage, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageNote {
    /// Its name in the configuration.
    pub name: String,
    /// The name that the plugin gives itself.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// A digest of its code; empty for a built-in stage.
    pub digest: String,
    /// Whether its word counts.
    pub mode: Mode,
    /// The handling of a container that it fails on.
    pub on_error: OnError,
    /// Whose stage it is; none where there is no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
}

impl StageNote {
    /// Whether it is the stage `registrator`, linked in or loaded, which says what a container
    /// says of itself: what it vetoes is ignored rather than vetoed, and it describes services
    /// from scratch, whatever others said of them.
    pub fn is_registrator(&self) -> bool {
        self.plugin == REGISTRATOR
    }

    /// Its plugin, version, digest, mode and layer, in a few words.
    pub fn made(&self) -> String {
        let digest = match self.digest.get(..12) {
            Some(digits) => format!("sha256:{digits}"),
            None => "built-in".into(),
        };
        let mode = if self.mode == Mode::Monitor { ", monitored" } else { "" };
        let layer = self.layer.map_or_else(String::new, |layer| format!(", of the {layer}"));
        format!("{} {} ({digest}{mode}{layer})", self.plugin, self.version)
    }
}

/// A stage in its place. Cheap to clone; clones share how it has fared.
#[derive(Clone)]
pub struct Step {
    stage: Arc<dyn Stage>,
    rules: Rules,
    made: Option<(Made, Digest)>,
    layer: Option<Layer>,
    record: Arc<Record>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("name", &self.name()).field("rules", &self.rules).finish()
    }
}

impl Step {
    /// A stage that is enforced, for all containers, and whose answers are not
    /// remembered, since it is not known what it is made of.
    pub fn new(stage: Arc<dyn Stage>) -> Self {
        Self { stage, rules: Rules::default(), made: None, layer: None, record: Arc::default() }
    }

    /// The same with these rules.
    pub fn with(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The same, made of this: now its answers can be remembered, if it is pure.
    pub fn made_of(self, made: Made) -> Self {
        let fingerprint = made.fingerprint();
        Self { made: Some((made, fingerprint)), ..self }
    }

    /// The same, which is this layer's.
    pub fn of_layer(self, layer: Option<Layer>) -> Self {
        Self { layer, ..self }
    }

    /// Whose stage it is; none where there is no policy.
    pub fn layer(&self) -> Option<Layer> {
        self.layer
    }

    /// The stage's name in the configuration.
    pub fn name(&self) -> &str {
        self.stage.name()
    }

    /// The operator's rules for it.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The plugin and settings that it is made of, if they are known.
    pub fn made(&self) -> Option<&Made> {
        self.made.as_ref().map(|(made, _)| made)
    }

    /// A note on it, for people.
    pub fn note(&self) -> StageNote {
        let builtin = || Made { plugin: REGISTRATOR.into(), ..Made::default() };
        let made = self.made().cloned();
        let made = made.or_else(|| self.is_builtin().then(builtin)).unwrap_or_default();
        StageNote {
            name: self.name().to_string(),
            plugin: made.plugin,
            version: made.version,
            digest: made.digest,
            mode: self.rules.mode,
            on_error: self.rules.on_error,
            layer: self.layer,
        }
    }

    /// Whether it is the stage `registrator`; see [`StageNote::is_registrator`].
    pub fn is_registrator(&self) -> bool {
        self.is_builtin() || self.made().is_some_and(|made| made.plugin == REGISTRATOR)
    }

    /// Its health.
    pub fn health(&self) -> StageHealth {
        self.record.health(self)
    }

    /// Whether the stage is part of the daemon, so that what it makes of a container's words
    /// is the container's fault and not its own.
    pub fn is_builtin(&self) -> bool {
        self.stage().is_builtin()
    }

    /// Why the stage could not be loaded, if it could not be.
    pub fn unloaded(&self) -> Option<&str> {
        self.stage.unloaded()
    }

    pub(super) fn stage(&self) -> &dyn Stage {
        &*self.stage
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// By what its answers are remembered; none if they are not.
    pub(super) fn fingerprint(&self) -> Option<&Digest> {
        let (_, fingerprint) = self.made.as_ref()?;
        self.stage.is_pure().then_some(fingerprint)
    }

    /// Whether it is for this container.
    pub(super) async fn selects(&self, container: &Container) -> Result<bool, StageError> {
        let Some(select) = &self.rules.select else { return Ok(true) };
        select
            .decide(container)
            .await
            .map_err(|reason| StageError::Host(format!("its select cannot be evaluated: {reason}")))
    }

    /// The step in the place of `old`, whose figures go on. The old one's health says
    /// nothing of another plugin or other settings.
    pub(super) fn succeeding(self, old: &Self) -> Self {
        let same = self.made.is_some() && self.made == old.made;
        Self { record: Arc::new(old.record.successor(same)), ..self }
    }
}
