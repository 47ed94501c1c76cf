//! Stages made of components, without the daemon.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use globset::{Glob, GlobSet};
use wharfinger::{
    error::error_chain,
    model::{
        container::Container,
        host::{Compat, Host},
        service::Service,
    },
    pipeline::{AddressRules, Called, Stage as _, candidates},
    stages::plugin::{
        ComponentSpec, ComponentStage, Grants, HostOptions, Limits, LoadError, PluginHost,
    },
};

use super::corpus;

/// Limits that nobody exceeds by honest work, on however busy a machine.
pub const AMPLE: Limits = Limits { timeout: Duration::from_secs(20), ..Limits::DEFAULT };

pub fn plugin_host() -> Arc<PluginHost> {
    host_for(8)
}

/// A host for so many calls at once.
pub fn host_for(concurrency: usize) -> Arc<PluginHost> {
    let options = HostOptions { concurrency, ..HostOptions::default() };
    Arc::new(PluginHost::new(options).expect("this machine runs WebAssembly"))
}

/// The stage `stage`, of this file.
pub fn spec(file: PathBuf, settings: &str, limits: Limits) -> ComponentSpec {
    let env =
        GlobSet::new([Glob::new("SERVICE_*").expect("a pattern")]).expect("a set of patterns");
    let grants = Grants { env, ..Grants::default() };
    ComponentSpec { name: "stage".into(), file, settings: settings.into(), limits, grants }
}

/// A stage of a plugin that `plugins/build.sh` has built.
pub async fn load(name: &str, settings: &str, limits: Limits) -> ComponentStage {
    let loaded = plugin_host().load(spec(super::plugin(name), settings, limits)).await;
    loaded.unwrap_or_else(|error| panic!("{name}: {}", error_chain(&error)))
}

/// A stage of these bytes, in a file of the name `guest.wasm`.
pub async fn load_bytes(bytes: &[u8], limits: Limits) -> Result<ComponentStage, LoadError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("guest.wasm");
    std::fs::write(&file, bytes).expect("the file is written");
    plugin_host().load(spec(file, "{}", limits)).await
}

/// A container with one published port and these labels.
pub fn container(labels: &[(&str, &str)]) -> (Container, Host, Vec<Service>) {
    // The corpus is read once: where calls are measured, reading it would be.
    static CASE: OnceLock<corpus::Case> = OnceLock::new();
    let case = CASE.get_or_init(|| {
        let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
        case.expect("the case is part of the corpus")
    });
    let host = case.host(Compat::None);
    let mut container = case.containers().remove(0);
    container.labels.extend(labels.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    container.env = vec![("SERVICE_TEAM".into(), "a".into()), ("PASSWORD".into(), "b".into())];
    let services = candidates(&container, &host, &AddressRules::default())
        .expect("its labels are right")
        .services;
    assert_eq!(services.len(), 1);
    (container, host, services)
}

/// What a stage says of a container with one published port and these labels.
pub async fn process(stage: &ComponentStage, labels: &[(&str, &str)]) -> Called {
    let (container, host, services) = container(labels);
    stage.process(&container, &host, &services).await
}
