//! From the configuration to a pipeline: every stage loaded, its settings
//! validated, and put in its place.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use reqwest::Url;
use tracing::{info, warn};

use super::BadConfig;
use crate::{
    config::{CacheConfig, Config, DefaultLimits, StageConfig},
    error::error_chain,
    pipeline::{Builtin, Made, Pipeline, Rules, Selects, Stage, Step},
    plugin::{Cache, Compiler, ComponentSpec, HostOptions, KvReader, Limits, PluginHost},
    registry::ConsulReader,
};

/// Makes pipelines of configurations. What can be used again of one for the next
/// is kept: the plugin host, which has compiled the components.
#[derive(Default)]
pub struct Stages {
    plugins: Option<Plugins>,
    /// The registry's URI, if the file's is not the one that counts.
    registry: Option<String>,
    compiler: Compiler,
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
        let (steps, faults) = self.try_load(config).await?;
        let pipeline = choosing(config, Pipeline::of(steps));
        match pipeline {
            Ok(pipeline) if faults.is_empty() => Ok(pipeline),
            Ok(_) => Err(BadConfig(anyhow!("{}", faults.join("; "))).into()),
            Err(BadConfig(more)) if faults.is_empty() => Err(BadConfig(more).into()),
            Err(BadConfig(more)) => Err(BadConfig(anyhow!("{}; {more}", faults.join("; "))).into()),
        }
    }

    /// The stages that can be loaded, and the faults of the others.
    ///
    /// # Errors
    ///
    /// This machine cannot run components.
    pub async fn try_load(&mut self, config: &Config) -> anyhow::Result<(Vec<Step>, Vec<String>)> {
        let components = config.pipeline.iter().filter(|stage| stage.file.is_some());
        let largest = components.map(|stage| config.limits_of(stage)).reduce(Limits::or_larger);
        let plugins = largest.map(|largest| self.plugins(config, largest)).transpose()?;
        let (mut steps, mut faults) = (Vec::new(), Vec::new());
        for stage in &config.pipeline {
            match load(config, stage, plugins.as_ref()).await {
                Ok(step) => steps.push(step),
                Err(fault) => faults.push(format!("stage {:?}: {fault:#}", stage.name)),
            }
        }
        Ok((steps, faults))
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
        let uri = self.registry.as_deref().or(config.registry.uri.as_deref()).unwrap_or_default();
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
/// What it says of them is wrong.
pub fn choosing(config: &Config, pipeline: Pipeline) -> Result<Pipeline, BadConfig> {
    let mut faults = Vec::new();
    let select = config.containers.selector().map_err(|fault| faults.push(fault));
    let address = config.address.rules().map_err(|more| faults.extend(more));
    match (select, address) {
        (Ok(select), Ok(address)) => Ok(pipeline.selecting(select).addressing(address)),
        _ => Err(BadConfig(anyhow!("{}", faults.join("; ")))),
    }
}

/// Where compiled components are kept. Without it, everything works, and each
/// start takes longer.
pub(crate) fn cache(config: &Config) -> Option<Cache> {
    let Some(folder) = config.cache.folder(|name| std::env::var(name).ok()) else {
        info!("compiled plugins are not kept: no folder for them is known (--cache-dir)");
        return None;
    };
    match Cache::open(&folder, config.cache.size) {
        Ok(cache) => Some(cache),
        Err(error) => {
            warn!(error = error_chain(&error), "compiled plugins are not kept (--cache-dir)");
            None
        }
    }
}

/// What stages read of Consul's KV store, if any is granted a part of it.
fn kv_reader(config: &Config, uri: &str) -> anyhow::Result<Option<Arc<dyn KvReader>>> {
    if !uri.starts_with("consul") || config.pipeline.iter().all(|stage| stage.grant.kv.is_none()) {
        return Ok(None);
    }
    let url = Url::parse(uri).with_context(|| format!("bad adapter uri: {uri}"))?;
    let reader = ConsulReader::new(&url, |name| std::env::var(name).ok())
        .map_err(|error| BadConfig(error.into()))?;
    Ok(Some(Arc::new(reader)))
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
            grants: stage.grant.grants().map_err(|faults| anyhow!(faults.join("; ")))?,
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
