//! The configuration that a host's file becomes below its policy, and its pipeline.
//!
//! There is one place that puts the two together, for the start, for a changed file, for a changed
//! policy and for commands that only look. A host that has to have a policy and has none yet holds
//! every container as it is.

use std::sync::Arc;

use anyhow::anyhow;

use crate::{
    config::{Config, StageConfig},
    model::layer::Layer,
    pipeline::{Pipeline, StageHealth, Step, Unloaded},
    policy::{hosted::Hosted, layer::Layered, store::Store},
    stages::loader::{Loaded, Stages},
};

/// The name of what stands in the place of the stages that are not known yet.
const AWAITED: &str = "policy";
const NONE_YET: &str = "no policy is in force yet (policy.required)";

/// Whether this stage stands in the place of a policy that is not there yet. No word of the host's
/// stages is in it: a fleet that has no policy yet is not unhealthy, or its first one would never come.
pub(super) fn awaits(stage: &StageHealth) -> bool {
    stage.stage == AWAITED && stage.unloaded.as_deref() == Some(NONE_YET)
}

/// The policy that stands above a host's file, if any.
#[derive(Debug, Clone)]
pub enum Hosting {
    /// Nothing: the host has its own word.
    Own,
    /// A policy that is not there yet. Until then the host has its own word.
    Optional,
    /// A policy that is not there yet. Until then nothing is decided.
    Awaited,
    /// A policy, and the store that its components can be had from again.
    Below(Arc<Hosted>, Option<Store>),
}

impl Hosting {
    /// The configuration that holds.
    pub fn over(&self, host: &Config) -> Layered {
        match self {
            Self::Below(hosted, _) => hosted.over(host),
            Self::Own => plain(host, None),
            Self::Optional => plain(host, Some(Layer::Host)),
            Self::Awaited => {
                let stage = StageConfig { name: AWAITED.into(), ..StageConfig::registrator() };
                let config = Config { pipeline: vec![stage], ..host.clone() };
                Layered { config, stages: Default::default(), overruled: Vec::new() }
            }
        }
    }

    /// The pipeline of what [`Hosting::over`] gave.
    ///
    /// # Errors
    ///
    /// As for [`Stages::load_with_gaps`]; or a component of the bundle is not what was signed.
    pub async fn load(&self, stages: &mut Stages, layered: &Layered) -> anyhow::Result<Loaded> {
        if let Self::Awaited = self {
            // No selection either: what it would leave out would go.
            let step = Step::new(Arc::new(Unloaded::new(AWAITED, NONE_YET)));
            return Ok(Loaded { pipeline: Pipeline::of(vec![step]), broken: Vec::new() });
        }
        let mut load = async || {
            let Loaded { pipeline, broken } = stages.load_with_gaps(&layered.config).await?;
            let pipeline = pipeline.layered(|stage| layered.stages.get(stage).copied());
            anyhow::Ok(Loaded { pipeline, broken })
        };
        let mut loaded = load().await?;
        let Self::Below(hosted, store) = self else { return Ok(loaded) };
        let wrong = |loaded: &Loaded| {
            let ours = |stage: &str| layered.stages.get(stage) == Some(&Layer::Bundle);
            let broken = loaded.broken.iter().any(|fault| ours(&fault.stage));
            broken || hosted.exchanged(&loaded.pipeline).is_some()
        };
        // Somebody may have written to the files; what was signed is in the store.
        if let Some(store) = store.as_ref().filter(|_| wrong(&loaded))
            && hosted.restore(store).is_ok()
        {
            loaded = load().await?;
        }
        match hosted.exchanged(&loaded.pipeline) {
            None => Ok(loaded),
            Some(stage) => Err(anyhow!("stage {stage:?}: its component is not what was signed")),
        }
    }
}

/// A host's own word alone.
fn plain(host: &Config, layer: Option<Layer>) -> Layered {
    let of = |stage: &StageConfig| Some((stage.name.clone(), layer?));
    Layered {
        config: host.clone(),
        stages: host.pipeline.iter().filter_map(of).collect(),
        overruled: Vec::new(),
    }
}
