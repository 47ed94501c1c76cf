//! From the configuration to a pipeline: every stage loaded, its settings
//! validated, and put in its place.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{anyhow, bail};
use tracing::{error, info, warn};

use crate::{
    config::{CacheConfig, Config, DefaultLimits, StageConfig},
    daemon::control::Control,
    error::error_chain,
    pipeline::{Made, Pipeline, Rules, Selects, Step, Unloaded},
    registry::Place,
    stages::{
        builtin::Builtin,
        plugin::{Cache, Compiler, ComponentSpec, HostOptions, KvReader, Limits, PluginHost},
    },
    telemetry::event,
};

/// A configuration that cannot be used; it has an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used")]
pub struct BadConfig(#[source] pub anyhow::Error);

/// Makes pipelines of configurations. The plugin host, which has compiled the
/// components, is kept from one for the next.
#[derive(Default)]
pub struct Stages {
    plugins: Option<Plugins>,
    /// The registry's URI, if the file's is not the one that counts.
    registry: Option<String>,
    compiler: Compiler,
}

/// A pipeline, in which something that fails may stand in the place of components.
#[derive(Debug)]
pub struct Loaded {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The stages that could not be loaded.
    pub broken: Vec<StageFault>,
}

impl Loaded {
    /// The pipeline, if nothing is missing in it.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] with every fault.
    pub fn whole(self) -> anyhow::Result<Pipeline> {
        let faults: Vec<_> = self.broken.iter().map(ToString::to_string).collect();
        if faults.is_empty() { Ok(self.pipeline) } else { Err(bad(&faults)) }
    }
}

/// Why a component is not used as a stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stage {stage:?}: {reason}")]
pub struct StageFault {
    /// The stage's name.
    pub stage: String,
    /// The component's file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

impl StageFault {
    fn stand_in(&self) -> Step {
        Step::new(Arc::new(Unloaded::new(&self.stage, &self.reason)))
    }
}

/// The plugin host, and what it was made for.
struct Plugins {
    host: Arc<PluginHost>,
    limits: DefaultLimits,
    largest: Limits,
    cache: CacheConfig,
    reads_kv: bool,
}

impl Stages {
    /// The stages of a daemon with this registry.
    pub fn with_registry(uri: &str) -> Self {
        Self { registry: Some(uri.to_string()), ..Self::default() }
    }

    /// The same, compiled in child processes of this one, which must be
    /// Wharfinger, rather than in this one.
    pub fn compiled_by_children(self) -> Self {
        Self { compiler: Compiler::child(), ..self }
    }

    /// The pipeline of a configuration, with every stage loaded and its settings
    /// validated.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] with every fault of every stage. Nothing has changed then.
    pub async fn load(&mut self, config: &Config) -> anyhow::Result<Pipeline> {
        self.load_with_gaps(config).await?.whole()
    }

    /// The same, with something that fails in the place of each component that cannot be
    /// loaded.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] with every fault of the configuration itself and, if there is one,
    /// of every component.
    pub async fn load_with_gaps(&mut self, config: &Config) -> anyhow::Result<Loaded> {
        let (mut steps, mut faults, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for (stage, loaded) in self.load_each(config).await {
            let loaded = loaded.and_then(|loaded| Ok((rules(stage)?, loaded)));
            match loaded {
                Ok((rules, Ok(step))) => steps.push(step.with(rules)),
                Ok((rules, Err(fault))) => {
                    steps.push(fault.stand_in().with(rules));
                    broken.push(fault);
                }
                Err(fault) => faults.push(format!("stage {:?}: {fault:#}", stage.name)),
            }
        }
        let pipeline = choosing(config, Pipeline::of(steps));
        if let Err(BadConfig(more)) = &pipeline {
            faults.push(more.to_string());
        }
        match pipeline {
            Ok(pipeline) if faults.is_empty() => Ok(Loaded { pipeline, broken }),
            _ => {
                let broken = broken.iter().map(ToString::to_string);
                Err(bad(&broken.chain(faults).collect::<Vec<_>>()))
            }
        }
    }

    /// The stages that can be loaded, and the faults of the others.
    pub async fn try_load(&mut self, config: &Config) -> (Vec<Step>, Vec<String>) {
        let (mut steps, mut faults) = (Vec::new(), Vec::new());
        for (stage, loaded) in self.load_each(config).await {
            match loaded.and_then(|loaded| Ok((rules(stage)?, loaded))) {
                Ok((rules, Ok(step))) => steps.push(step.with(rules)),
                Ok((_, Err(fault))) => faults.push(fault.to_string()),
                Err(fault) => faults.push(format!("stage {:?}: {fault:#}", stage.name)),
            }
        }
        (steps, faults)
    }

    /// Each stage without its rules; an error is one of the configuration, and a
    /// [`StageFault`] one of the component.
    async fn load_each<'a>(
        &mut self,
        config: &'a Config,
    ) -> Vec<(&'a StageConfig, anyhow::Result<Result<Step, StageFault>>)> {
        let components = config.pipeline.iter().filter(|stage| stage.file.is_some());
        let largest = components.map(|stage| config.limits_of(stage)).reduce(Limits::or_larger);
        let plugins = largest.map(|largest| self.plugins(config, largest)).transpose();
        let mut all = Vec::new();
        for stage in &config.pipeline {
            let loaded = match (&stage.builtin, &stage.file) {
                (Some(name), _) => builtin(stage, name).map(Ok),
                (None, Some(file)) => {
                    let loaded = match &plugins {
                        Ok(Some(plugins)) => component(config, stage, file, plugins).await,
                        Ok(None) => Err(anyhow!("there is no plugin host")),
                        Err(error) => Err(anyhow!("{error:#}")),
                    };
                    Ok(loaded.map_err(|error| StageFault {
                        stage: stage.name.clone(),
                        file: file.clone(),
                        reason: format!("{error:#}"),
                    }))
                }
                (None, None) => Err(anyhow!("it needs either builtin or file")),
            };
            all.push((stage, loaded));
        }
        all
    }

    fn plugins(&mut self, config: &Config, largest: Limits) -> anyhow::Result<Arc<PluginHost>> {
        let reads_kv = config.pipeline.iter().any(|stage| stage.grant.kv.is_some());
        if let Some(plugins) = &self.plugins
            && plugins.limits == config.limits
            && plugins.largest == largest
            && plugins.cache == config.cache
            && plugins.reads_kv == reads_kv
        {
            return Ok(plugins.host.clone());
        }
        let uri = self.registry.as_deref().or(config.registry.uri.as_deref());
        let options = HostOptions {
            concurrency: config.limits.concurrency,
            largest,
            stack: config.limits.stack,
            kv: kv_reader(config, uri)?,
            compiler: self.compiler.clone(),
            cache: cache(config),
        };
        let host = Arc::new(PluginHost::new(options).map_err(|error| anyhow!(error))?);
        // The stages of the pipeline that is in force hold the one before.
        self.plugins = Some(Plugins {
            host: host.clone(),
            limits: config.limits.clone(),
            largest,
            cache: config.cache.clone(),
            reads_kv,
        });
        Ok(host)
    }
}

/// The pipeline for those containers and addresses that the configuration says.
///
/// # Errors
///
/// The configuration's rules for them are wrong.
pub fn choosing(config: &Config, pipeline: Pipeline) -> Result<Pipeline, BadConfig> {
    let mut faults = Vec::new();
    let select = config.containers.selector().map_err(|fault| faults.push(fault));
    let address = config.address.rules().map_err(|more| faults.extend(more));
    match (select, address) {
        (Ok(select), Ok(address)) => {
            Ok(pipeline.selecting(select).addressing(address).bounded(config.bounds()))
        }
        _ => Err(BadConfig(anyhow!("{}", faults.join("; ")))),
    }
}

/// Where compiled components are kept. Without it, everything works, and each
/// start takes longer.
pub(crate) fn cache(config: &Config) -> Option<Cache> {
    let Some(folder) = config.cache.folder(|name| std::env::var(name).ok()) else {
        info!(
            event = event::CODE_NOT_KEPT,
            reason = "no folder for them is known (--cache-dir)",
            "compiled plugins are not kept: no folder for them is known (--cache-dir)"
        );
        return None;
    };
    match Cache::open(&folder, config.cache.size) {
        Ok(cache) => Some(cache),
        Err(error) => {
            let mount = Control::mount(&folder);
            warn!(
                event = event::CODE_NOT_KEPT,
                file = %folder.display(),
                reason = error_chain(&error),
                "compiled plugins are not kept: each start compiles them again. Name a folder with \
                 --cache-dir; a container whose root its user cannot write to takes {mount}"
            );
            None
        }
    }
}

/// The reader of the key-value store beside the registry, if any stage is granted a part of it
/// and there is one.
fn kv_reader(config: &Config, uri: Option<&str>) -> anyhow::Result<Option<Arc<dyn KvReader>>> {
    let Some(uri) = uri else { return Ok(None) };
    if config.pipeline.iter().all(|stage| stage.grant.kv.is_none()) {
        return Ok(None);
    }
    let store =
        Place::parse(uri).and_then(|place| place.key_values(|name| std::env::var(name).ok()));
    let store = store.map_err(|error| BadConfig(error.into()))?;
    Ok(store.map(|store| Arc::new(store) as Arc<dyn KvReader>))
}

fn bad(faults: &[String]) -> anyhow::Error {
    BadConfig(anyhow!("{}", faults.join("; "))).into()
}

fn builtin(stage: &StageConfig, name: &str) -> anyhow::Result<Step> {
    let settings = serde_json::to_string(&stage.settings)?;
    let loaded = Builtin::new(&stage.name, name, &settings)?;
    let made = Made {
        plugin: name.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        digest: String::new(),
        settings,
    };
    Ok(Step::new(Arc::new(loaded)).made_of(made))
}

async fn component(
    config: &Config,
    stage: &StageConfig,
    file: &Path,
    plugins: &Arc<PluginHost>,
) -> anyhow::Result<Step> {
    let settings = serde_json::to_string(&stage.settings)?;
    if file.is_dir() {
        bail!(
            "file: {} is a folder; a stage is one component, and a pipeline an ordered list of \
             stages: name each file in a stage of its own",
            file.display()
        );
    }
    let loaded = plugins
        .load(ComponentSpec {
            name: stage.name.clone(),
            file: file.to_path_buf(),
            settings: settings.clone(),
            limits: config.limits_of(stage),
            grants: stage.grant.grants().map_err(|faults| anyhow!(faults.join("; ")))?,
        })
        .await?;
    let identity = loaded.identity().clone();
    // What the operator grants bears on the answers, and so does how it is asked.
    let known = format!("{settings} {:?} {}", stage.grant, identity.contract);
    let made = Made {
        plugin: identity.name,
        version: identity.version,
        digest: identity.digest,
        settings: known,
    };
    Ok(Step::new(Arc::new(loaded)).made_of(made))
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

/// Say which components are missing, and what becomes of containers meanwhile.
pub(crate) fn say_broken(pipeline: &Pipeline, broken: &[StageFault]) {
    for StageFault { stage, file, reason } in broken {
        let step = pipeline.steps().iter().find(|step| step.name() == stage);
        let Some(rules) = step.map(Step::rules) else { continue };
        let (file, mode, on_error) = (file.display().to_string(), rules.mode, rules.on_error);
        error!(
            event = event::STAGE_BROKEN,
            stage,
            file,
            %mode,
            %on_error,
            reason,
            "a stage cannot be loaded; on-error says what becomes of its containers, and it is \
             tried again when its file changes"
        );
    }
}

/// Say what a pipeline is made of, a line for each component.
pub(crate) fn announce(pipeline: &Pipeline) {
    for step in pipeline.steps() {
        let Some(made) = step.made().filter(|made| !made.digest.is_empty()) else { continue };
        info!(
            event = event::STAGE_LOADED,
            stage = step.name(),
            mode = %step.rules().mode,
            plugin = made.plugin,
            version = made.version,
            digest = made.short_digest(),
            "loaded a plugin"
        );
    }
}
