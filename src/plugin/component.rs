//! A component as a stage of the pipeline.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use globset::GlobSet;
use tokio::time::timeout;
use wasmtime::{
    Store,
    component::{Component, Linker},
};

use super::{
    ComponentSpec, GuestCall, Identity, Limits, LoadError, PluginHost, guest::Guest,
    imports::Imports, v0_1_0, wasi,
};
use crate::{
    container::Container,
    host::Host,
    pipeline::{Called, Stage, StageError},
    service::Service,
};

/// A component that is linked and ready to be called.
pub struct ComponentStage {
    name: String,
    settings: Arc<str>,
    limits: Limits,
    visible_env: GlobSet,
    identity: Identity,
    wasi: bool,
    host: Arc<PluginHost>,
    linked: v0_1_0::StageComponentPre<Guest>,
}

impl ComponentStage {
    /// Link a compiled component, ask it what it is and validate its settings.
    pub(super) async fn link(
        host: &Arc<PluginHost>,
        component: &Component,
        imports: Imports,
        digest: String,
        spec: ComponentSpec,
    ) -> Result<Self, LoadError> {
        let ComponentSpec { name, file, settings, limits, visible_env } = spec;
        let linked = pre(host, component, imports).map_err(|error| LoadError::Link {
            file: file.clone(),
            reason: format!("{error:#}"),
        })?;
        let identity = Identity {
            name: String::new(),
            version: String::new(),
            summary: String::new(),
            digest,
        };
        let mut stage = Self {
            name,
            settings: settings.into(),
            limits,
            visible_env,
            identity,
            wasi: imports.wasi,
            host: host.clone(),
            linked,
        };
        let failed = |function| {
            let file = file.clone();
            move |source| LoadError::Call { file, function, source }
        };
        let description = stage
            .call(|store, guest| guest.call_describe(store).boxed())
            .await
            .result
            .map_err(failed("describe"))?;
        stage.identity = Identity {
            name: description.name,
            version: description.version,
            summary: description.summary,
            digest: stage.identity.digest,
        };
        let settings = stage.settings.clone();
        stage
            .call(|store, guest| {
                async move { guest.call_validate_settings(store, &settings).await }.boxed()
            })
            .await
            .result
            .map_err(failed("validate-settings"))?
            .map_err(LoadError::Settings)?;
        Ok(stage)
    }

    /// What the component says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Call a function of a fresh instance, within the stage's limits, on the
    /// guests' own threads. Whatever comes of it, the instance is thrown away.
    async fn call<T, F>(&self, function: F) -> GuestCall<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(
                &'a mut Store<Guest>,
                &'a v0_1_0::Exports,
            ) -> BoxFuture<'a, wasmtime::Result<T>>
            + Send
            + 'static,
    {
        let failed = |error: String| GuestCall {
            result: Err(StageError::Host(error)),
            messages: Vec::new(),
        };
        // Waiting for a turn does not count against the deadline.
        let Ok(permit) = self.host.permits.clone().acquire_owned().await else {
            return failed("the plugin host is being closed".into());
        };
        let (linked, limits, wasi) = (self.linked.clone(), self.limits, self.wasi);
        let call = self.host.runtime().spawn(async move {
            let _permit = permit;
            let mut store = Guest::store(linked.engine(), limits, wasi);
            let run = async {
                let instance = linked.instantiate_async(&mut store).await?;
                function(&mut store, instance.wharfinger_pipeline_stage()).await
            };
            // The engine's clock interrupts code of the guest, this one time
            // that is spent in the host on its behalf.
            let result = match timeout(limits.timeout, run).await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(store.data().explain(&error, limits)),
                Err(_) => Err(StageError::Timeout(limits.timeout)),
            };
            GuestCall { result, messages: store.into_data().into_messages() }
        });
        call.await.unwrap_or_else(|error| failed(error.to_string()))
    }
}

fn pre(
    host: &PluginHost,
    component: &Component,
    imports: Imports,
) -> wasmtime::Result<v0_1_0::StageComponentPre<Guest>> {
    let mut linker = Linker::new(host.engine.wasmtime());
    v0_1_0::link(&mut linker)?;
    if imports.wasi {
        wasi::link(&mut linker)?;
    }
    v0_1_0::StageComponentPre::new(linker.instantiate_pre(component)?)
}

#[async_trait::async_trait]
impl Stage for ComponentStage {
    fn name(&self) -> &str {
        &self.name
    }

    async fn process(&self, container: &Container, host: &Host, services: &[Service]) -> Called {
        let container = v0_1_0::container(container, |key| self.visible_env.is_match(key));
        let host = v0_1_0::host(host);
        let services: Vec<_> = services.iter().map(v0_1_0::service).collect();
        let settings = self.settings.clone();
        let GuestCall { result, messages } = self
            .call(|store, guest| {
                async move {
                    guest.call_process(store, &settings, &container, &host, &services).await
                }
                .boxed()
            })
            .await;
        let result = match result {
            Ok(Ok(outcome)) => Ok(v0_1_0::decision(outcome)),
            Ok(Err(reason)) => Err(StageError::Guest(reason)),
            Err(error) => Err(error),
        };
        Called { result, messages }
    }
}
