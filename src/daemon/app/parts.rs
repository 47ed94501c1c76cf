//! The parts of a daemon, for commands that only look: the same as the daemon's,
//! but for the loop.

use std::sync::Arc;

use anyhow::anyhow;

use crate::daemon::app::{
    Asked, BadConfig, Stages, config, host, options, registry, settled, tags,
};
use crate::{
    cli::flags::{BadUsage, RunArgs},
    config::Config,
    daemon::policy::at_hand,
    docker::{Docker, Recorded, Source},
    model::host::Host,
    pipeline::Pipeline,
    reconcile::{Options, Rehearsal},
    registry::Registry,
};

/// The parts of a daemon.
pub struct Parts {
    /// The configuration.
    pub config: Config,
    /// The host's facts.
    pub host: Host,
    /// Docker, or recorded containers.
    pub source: Arc<dyn Source>,
    /// Where services are registered, if that has a bearing.
    pub registry: Option<Arc<dyn Registry>>,
    /// The registry's URI.
    pub uri: Option<String>,
    /// The pipeline of the configuration.
    pub pipeline: Pipeline,
    /// The loader of the stages of further pipelines.
    pub stages: Stages,
    /// The loop's options.
    pub options: Options,
}

impl Parts {
    /// The parts of a daemon with these flags. Recorded containers are compared
    /// with a registry only if the command line names one.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used ([`BadConfig`]), or Docker cannot be
    /// reached.
    pub async fn of(args: &RunArgs) -> anyhow::Result<Self> {
        let config = config(&args.offer)?;
        let args = &settled(args.clone(), &config)?;
        let host = host(&args.offer).await?;
        let tags = tags(&args.offer, host.compat)?;
        let recorded = !args.containers.is_empty();
        let of_file = config.registry.uri.clone().filter(|_| !recorded);
        let uri = args.uri.clone().or(of_file);
        let options = options(args, &config);
        // A registry that a daemon would not start with is refused, also where nothing is compared with it.
        if let Some(uri) = uri.as_ref().or(config.registry.uri.as_ref()) {
            let (place, registry) = registry(uri, &host)?;
            let asked = Asked::of(&options, &config, host.compat);
            asked.hold_against(place.adapter(), registry.capabilities())?;
        }
        let registry =
            uri.as_ref().map(|uri| Ok::<_, anyhow::Error>(registry(uri, &host)?.1)).transpose()?;
        let stages = match &uri {
            Some(uri) => Stages::with_registry(uri),
            None => Stages::default(),
        };
        let mut stages = stages.compiled_by_children();
        let (hosting, folder) = at_hand(&config, host.compat).map_err(BadConfig)?;
        let layered = hosting.over(&config);
        let pipeline = hosting.load(&mut stages, &layered).await?.whole()?;
        // Its components are loaded.
        drop(folder);
        let config = layered.config;
        let source: Arc<dyn Source> = if recorded {
            Arc::new(Recorded::read(&args.containers, &tags)?)
        } else {
            Arc::new(Docker::connect(std::env::var("DOCKER_HOST").ok().as_deref(), tags).await?)
        };
        Ok(Self { config, host, source, registry, uri, pipeline, stages, options })
    }

    /// The same, of which the registry is known.
    ///
    /// # Errors
    ///
    /// As for [`Parts::of`]; or neither the command line nor the file names a
    /// registry, and the containers are Docker's.
    pub async fn with_registry(args: &RunArgs) -> anyhow::Result<Self> {
        let of_file = || config(&args.offer).map(|config| config.registry.uri);
        if args.uri.is_none() && args.containers.is_empty() && of_file()?.is_none() {
            let words = "neither the command line nor the file names a registry to compare with";
            let next = "next: name it at the end of the line; memory:// is an empty one";
            if args.offer.config.is_none() {
                return Err(BadUsage(format!("{words}\n{next}")).into());
            }
            return Err(BadConfig(anyhow!("{words} (registry.uri)")).into());
        }
        Self::of(args).await
    }

    /// The loop of these parts, which writes nothing.
    pub fn rehearsal(&self) -> Rehearsal {
        Rehearsal::new(
            self.source.clone(),
            self.registry.clone(),
            self.pipeline.clone(),
            self.host.clone(),
            &self.options,
        )
    }
}
