//! From the configuration to a pipeline: every stage loaded, its settings
//! validated, and put in its place.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use bytesize::ByteSize;
use tracing::info;

use super::BadConfig;
use crate::{
    config::{Config, StageConfig},
    pipeline::{Builtin, Made, Pipeline, Rules, Selects, Stage, Step},
    plugin::{ComponentSpec, PluginHost},
};

/// Makes pipelines of configurations. What can be used again of one for the next
/// is kept: the plugin host, which has compiled the components.
#[derive(Default)]
pub struct Stages {
    plugins: Option<Plugins>,
}

/// The plugin host, and what it was made for.
struct Plugins {
    host: Arc<PluginHost>,
    concurrency: usize,
    largest: ByteSize,
}

impl Stages {
    /// The pipeline of a configuration, with every stage loaded and its settings
    /// validated.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] with every fault of every stage. Nothing has changed then.
    pub async fn load(&mut self, config: &Config) -> anyhow::Result<Pipeline> {
        let (steps, mut faults) = self.try_load(config).await?;
        let select = config.containers.selector().map_err(|fault| faults.push(fault));
        let address = config.address.rules().map_err(|more| faults.extend(more));
        match (select, address) {
            (Ok(select), Ok(address)) if faults.is_empty() => {
                Ok(Pipeline::of(steps).selecting(select).addressing(address))
            }
            _ => Err(BadConfig(anyhow!("{}", faults.join("; "))).into()),
        }
    }

    /// The stages that can be loaded, and the faults of the others.
    ///
    /// # Errors
    ///
    /// This machine cannot run components.
    pub async fn try_load(&mut self, config: &Config) -> anyhow::Result<(Vec<Step>, Vec<String>)> {
        let memory = |stage| config.limits_of(stage).memory;
        let components = config.pipeline.iter().filter(|stage| stage.file.is_some());
        let plugins = match components.map(memory).max() {
            Some(largest) => Some(self.plugins(config.limits.concurrency, largest)?),
            None => None,
        };
        let (mut steps, mut faults) = (Vec::new(), Vec::new());
        for stage in &config.pipeline {
            match load(config, stage, plugins.as_ref()).await {
                Ok(step) => steps.push(step),
                Err(fault) => faults.push(format!("stage {:?}: {fault:#}", stage.name)),
            }
        }
        Ok((steps, faults))
    }

    fn plugins(
        &mut self,
        concurrency: usize,
        largest: ByteSize,
    ) -> anyhow::Result<Arc<PluginHost>> {
        if let Some(plugins) = &self.plugins
            && (plugins.concurrency, plugins.largest) == (concurrency, largest)
        {
            return Ok(plugins.host.clone());
        }
        let host = PluginHost::new(concurrency, largest).map_err(|error| anyhow!(error))?;
        let host = Arc::new(host);
        // The stages of the pipeline that is in force hold the one before.
        self.plugins = Some(Plugins { host: host.clone(), concurrency, largest });
        Ok(host)
    }
}

async fn load(
    config: &Config,
    stage: &StageConfig,
    plugins: Option<&Arc<PluginHost>>,
) -> anyhow::Result<Step> {
    let settings = serde_json::to_string(&stage.settings)?;
    let (loaded, made): (Arc<dyn Stage>, Made) = match (&stage.builtin, &stage.file) {
        (Some(builtin), _) => {
            let loaded = Builtin::new(&stage.name, builtin, &settings)?;
            let made = Made {
                plugin: builtin.clone(),
                version: env!("CARGO_PKG_VERSION").into(),
                digest: String::new(),
                settings,
            };
            (Arc::new(loaded), made)
        }
        (None, Some(_)) => {
            let plugins = plugins.context("there is no plugin host")?;
            component(config, stage, settings, plugins).await?
        }
        (None, None) => bail!("it needs either builtin or file"),
    };
    Ok(Step::new(loaded).with(rules(stage)?).made_of(made))
}

async fn component(
    config: &Config,
    stage: &StageConfig,
    settings: String,
    plugins: &Arc<PluginHost>,
) -> anyhow::Result<(Arc<dyn Stage>, Made)> {
    let file = stage.file.clone().context("it has no file")?;
    if file.is_dir() {
        bail!(
            "file: {} is a folder; a stage is one component, and a pipeline an ordered list of \
             stages: name each file in a stage of its own",
            file.display()
        );
    }
    // What the operator grants bears on the answers.
    let known = format!("{settings} {:?}", stage.grant);
    let loaded = plugins
        .load(ComponentSpec {
            name: stage.name.clone(),
            file,
            settings,
            limits: config.limits_of(stage),
            visible_env: stage.grant.visible_env().map_err(|error| anyhow!(error))?,
        })
        .await?;
    let identity = loaded.identity().clone();
    let made = Made {
        plugin: identity.name,
        version: identity.version,
        digest: identity.digest,
        settings: known,
    };
    Ok((Arc::new(loaded), made))
}

fn rules(stage: &StageConfig) -> anyhow::Result<Rules> {
    let select = stage.selector().map_err(|fault| anyhow!(fault))?;
    Ok(Rules {
        mode: stage.mode,
        on_error: stage.on_error,
        validate_only: stage.validate_only,
        select: select.map(|select| Arc::new(select) as Arc<dyn Selects>),
    })
}

/// Say what a pipeline is made of, a line for each component.
pub(super) fn announce(pipeline: &Pipeline) {
    for step in pipeline.steps() {
        let Some(made) = step.made().filter(|made| !made.digest.is_empty()) else { continue };
        info!(
            stage = step.name(),
            mode = %step.rules().mode,
            plugin = made.plugin,
            version = made.version,
            digest = made.short_digest(),
            "loaded a plugin"
        );
    }
}
