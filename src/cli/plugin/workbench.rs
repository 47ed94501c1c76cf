//! Components on an author's machine: the daemon's own plugin host, with the
//! limits and the registry that the command line names.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{failure::Failure, input::Told};
use crate::{
    config::{Config, Grant},
    daemon::app,
    error::error_chain,
    registry::{ConsulReader, Place, PlaceError},
    stages::plugin::{
        Compiler, ComponentSpec, ComponentStage, HostOptions, KvReader, Limits, LoadError,
        PluginHost,
    },
    text,
};

/// The stage's name in traces and messages.
pub(super) const STAGE: &str = "plugin";

/// A plugin host, and what its stages may use.
pub(super) struct Workbench {
    host: Arc<PluginHost>,
    limits: Limits,
}

impl Workbench {
    /// A host for so many calls at once.
    pub(super) fn new(
        cache: Option<&Path>,
        concurrency: usize,
        limits: Limits,
        registry: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut config = Config::default();
        config.cache.dir = cache.map(PathBuf::from);
        let kv: Arc<dyn KvReader> = match registry {
            Some(uri) => Arc::new(reader(uri)?),
            None => Arc::new(NoStore),
        };
        let options = HostOptions {
            concurrency,
            largest: limits,
            kv: Some(kv),
            compiler: Compiler::child(),
            cache: app::cache(&config),
            ..HostOptions::default()
        };
        let host = PluginHost::new(options).map_err(Failure::new)?;
        Ok(Self { host: Arc::new(host), limits })
    }

    /// How many components were compiled, and not found in the cache.
    pub(super) fn compilations(&self) -> u64 {
        self.host.compilations()
    }

    /// What a call may use.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The component as a stage, with these settings in JSON.
    pub(super) async fn load(
        &self,
        file: &Path,
        settings: &str,
        grant: &Grant,
    ) -> Result<Arc<ComponentStage>, Unusable> {
        let spec = self.spec(file, settings, grant).map_err(Unusable::Command)?;
        self.host.load(spec).await.map(Arc::new).map_err(Unusable::Component)
    }

    /// The component as the command line wants it.
    pub(super) async fn load_told(
        &self,
        file: &Path,
        told: &Told,
    ) -> Result<Arc<ComponentStage>, Failure> {
        Ok(self.load(file, &told.settings, &told.grant).await?)
    }

    /// The component without settings: only to be looked at.
    pub(super) async fn describe(
        &self,
        file: &Path,
        grant: &Grant,
    ) -> Result<ComponentStage, Failure> {
        Ok(self.host.describe(self.spec(file, "{}", grant)?).await?)
    }

    fn spec(&self, file: &Path, settings: &str, grant: &Grant) -> Result<ComponentSpec, Failure> {
        let faults = |faults: Vec<String>| Failure::new(faults.join("; "));
        Ok(ComponentSpec {
            name: STAGE.into(),
            file: file.into(),
            settings: settings.into(),
            limits: self.limits,
            grants: grant.grants().map_err(faults)?,
        })
    }
}

/// Why a component is not at hand as a stage.
pub(super) enum Unusable {
    /// What was asked for makes no sense.
    Command(Failure),
    /// The component does not do.
    Component(LoadError),
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Command(failure) => failure,
            Unusable::Component(error) => error.into(),
        }
    }
}

fn reader(uri: &str) -> Result<ConsulReader, Failure> {
    let wrong = |fault: String| {
        Failure::new(format!("--registry: {:?}: {fault}", text::without_secrets(uri)))
    };
    let none = "it is not the URI of a Consul agent, such as consul://HOST:8500";
    let place = match Place::parse(uri) {
        Ok(place) => place,
        Err(PlaceError::Bad { source: Some(fault), .. }) => return Err(wrong(fault.to_string())),
        Err(_) => return Err(wrong(none.into())),
    };
    match place.key_values(|name| std::env::var(name).ok()) {
        Ok(store) => store.ok_or_else(|| wrong(none.into())),
        Err(error) => Err(wrong(error_chain(&error))),
    }
}

/// The KV store where no registry is named.
struct NoStore;

#[async_trait::async_trait]
impl KvReader for NoStore {
    async fn get(&self, _: &str, _: usize) -> Result<Option<Vec<u8>>, String> {
        Err("there is no Consul here whose KV store could be read (--registry)".into())
    }
}
