//! A component as a stage of the pipeline.

use std::{
    panic::AssertUnwindSafe,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use futures_util::FutureExt as _;
use tokio::{runtime::Handle, time::timeout};
use wasmtime::component::{Component, Linker};

use crate::stages::plugin::{
    ComponentSpec, GuestCall, Identity, LoadError, PluginHost,
    adapter::{Adapter, Run, Sight},
    allowance::Allowance,
    failure::Phase,
    grants::Capability,
    guest::Guest,
    http,
    imports::Imports,
    link, one_line,
    stats::{self, Figures},
    versions,
};
use crate::{
    model::{container::Container, host::Host, service::Service},
    pipeline::{Called, Decision, Shown, Stage, StageError, Stats, Verdict, Wants},
};

/// A component that is linked and ready to be called.
pub struct ComponentStage {
    name: String,
    settings: Arc<str>,
    identity: Identity,
    allowance: Arc<Allowance>,
    figures: Arc<Figures>,
    host: Arc<PluginHost>,
    /// While it is here, the host knows the component as compiled.
    _component: Arc<Component>,
    linked: Box<dyn Adapter>,
    /// The memory of an instance that has only described itself, in bytes.
    start_memory: usize,
}

impl ComponentStage {
    /// Link a compiled component and ask it what it is.
    pub(super) async fn link(
        host: &Arc<PluginHost>,
        component: Arc<Component>,
        imports: Imports,
        digest: String,
        spec: ComponentSpec,
    ) -> Result<Self, LoadError> {
        let ComponentSpec { name, file, settings, limits, grants } = spec;
        let failed = |reason| LoadError::Link { file: file.clone(), reason };
        let linked =
            pre(host, &component, &imports).map_err(|error| failed(format!("{error:#}")))?;
        let wants = |capability| imports.capabilities.contains(&capability);
        let http = wants(Capability::Http).then(http::client).transpose().map_err(failed)?;
        let kv = host.kv.clone().filter(|_| wants(Capability::Kv));
        if wants(Capability::Kv) && kv.is_none() {
            return Err(failed("grant.kv: there is no Consul whose KV store could be read".into()));
        }
        let contract = imports.version.number();
        let identity = Identity { digest, contract, ..Identity::default() };
        let mut stage = Self {
            name,
            settings: settings.into(),
            identity,
            allowance: Arc::new(Allowance { limits, grants, imports, kv, http }),
            figures: Arc::new(Figures::new()),
            host: host.clone(),
            _component: component,
            linked,
            start_memory: 0,
        };
        stage.introduce(&file).await?;
        Ok(stage)
    }

    /// Ask the component what it is.
    async fn introduce(&mut self, file: &Path) -> Result<(), LoadError> {
        let GuestCall { result, memory, .. } = self.call(self.linked.describe()).await;
        let description = result.map_err(|source| LoadError::Call {
            file: file.into(),
            function: "describe",
            source,
        })?;
        self.start_memory = memory;
        self.identity = Identity {
            name: one_line(&description.name),
            version: one_line(&description.version),
            contract: self.identity.contract,
            summary: one_line(&description.summary),
            digest: std::mem::take(&mut self.identity.digest),
            settings_schema: description.settings_schema,
            wants: description.wants,
            attributes: description
                .attributes
                .iter()
                .map(|(key, value)| (one_line(key), one_line(value)))
                .collect(),
        };
        Ok(())
    }

    /// Let the component validate its settings.
    pub(super) async fn validate(&self, file: &Path) -> Result<(), LoadError> {
        self.call(self.linked.validate(self.settings.clone()))
            .await
            .result
            .map_err(|source| LoadError::Call {
                file: file.into(),
                function: "validate-settings",
                source,
            })?
            .map_err(|faults| {
                let faults = faults.iter().map(|fault| one_line(fault)).collect();
                LoadError::Settings { file: file.into(), faults }
            })
    }

    /// From now on its figures are among those of the host.
    pub(super) fn announce(&self) {
        self.host.remember(&self.name, &self.figures);
    }

    /// The memory of an instance that has done nothing but describe itself.
    pub fn start_memory(&self) -> ByteSize {
        ByteSize(self.start_memory as u64)
    }

    /// The component's identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The capabilities beyond the contract that the component uses, as far as
    /// they are granted to it.
    pub fn capabilities(&self) -> &[Capability] {
        &self.allowance.imports.capabilities
    }

    /// Whether an answer depends on nothing but the call's arguments, so that
    /// it may be remembered for the same arguments.
    pub fn is_pure(&self) -> bool {
        self.capabilities().is_empty()
    }

    /// The figures of its calls since it was loaded.
    pub fn stats(&self) -> Stats {
        self.figures.stats()
    }

    /// Call a function of a fresh instance, within the stage's limits, on the
    /// guests' own threads. The instance is thrown away in any case. A caller on
    /// such a thread already stays there.
    async fn call<T: Send + 'static>(&self, run: Run<T>) -> GuestCall<T> {
        let failed = |error: String| GuestCall {
            result: Err(StageError::Host(error)),
            messages: Vec::new(),
            time: Duration::ZERO,
            memory: 0,
        };
        // Waiting for a turn does not count against the deadline.
        let Ok(permit) = self.host.permits.clone().acquire_owned().await else {
            return failed("the plugin host is being closed".into());
        };
        let ticking = self.host.engine.run();
        let (engine, stack) = (self.host.engine.wasmtime().clone(), self.host.stack);
        let (allowance, figures) = (self.allowance.clone(), self.figures.clone());
        let call = async move {
            let (_permit, _ticking) = (permit, ticking);
            let began = Instant::now();
            let mut store = Guest::store(&engine, &allowance);
            let mut phase = Phase::Instantiate;
            let run = run(&mut store, &mut phase);
            // The engine's clock interrupts code of the guest, this one time
            // that is spent in the host on its behalf.
            let result = match timeout(allowance.limits.timeout, run).await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(store.data().explain(&error, phase, stack)),
                Err(_) => Err(store.data().late()),
            };
            let memory = store.data().memory();
            let messages = store.into_data().into_messages(&figures);
            GuestCall { result, messages, time: began.elapsed(), memory }
        };
        let threads = self.host.runtime().handle();
        if Handle::try_current().is_ok_and(|here| here.id() == threads.id()) {
            // A fault of the host in one stage's call is no other stage's.
            let call = AssertUnwindSafe(call).catch_unwind();
            return call.await.unwrap_or_else(|_| failed("the call panicked".into()));
        }
        threads.spawn(call).await.unwrap_or_else(|error| failed(error.to_string()))
    }

    /// An answer within the stage's own limits of services and tags. Tags that a service had
    /// before are not held against the stage; all other rules are the pipeline's.
    fn within_limits(
        &self,
        services: &[Service],
        decision: Decision,
    ) -> Result<Decision, StageError> {
        let limits = &self.allowance.limits;
        let too_many =
            |what, limit: u32, key| Err(StageError::Output { what, limit: limit.to_string(), key });
        if decision.added.len() > limits.services as usize {
            return too_many("added services", limits.services, "services");
        }
        let most = limits.tags as usize;
        let replaced = decision.verdicts.iter().zip(services).any(|(verdict, before)| {
            matches!(verdict, Verdict::Replace(after)
                if after.tags.len() > before.tags.len().max(most))
        });
        if replaced || decision.added.iter().any(|service| service.tags.len() > most) {
            return too_many("tags of one service", limits.tags, "tags");
        }
        Ok(decision)
    }
}

fn pre(
    host: &PluginHost,
    component: &Component,
    imports: &Imports,
) -> wasmtime::Result<Box<dyn Adapter>> {
    let mut linker = Linker::new(host.engine.wasmtime());
    versions::link(imports.version, &mut linker)?;
    if imports.wasi {
        link::wasi(&mut linker)?;
    }
    for capability in &imports.capabilities {
        match capability {
            // They are part of WASI, which asks the store what to give.
            Capability::Clock | Capability::Random => {}
            Capability::Http => link::http(&mut linker)?,
            Capability::Kv => link::kv(&mut linker)?,
        }
    }
    versions::adapter(imports.version, &linker, component)
}

#[async_trait::async_trait]
impl Stage for ComponentStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_pure(&self) -> bool {
        self.capabilities().is_empty()
    }

    fn wants(&self) -> Wants {
        self.identity.wants
    }

    fn threads(&self) -> Option<&Handle> {
        Some(self.host.runtime().handle())
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.figures.stats())
    }

    async fn process(&self, container: &Container, host: &Host, services: &[Service]) -> Called {
        self.process_in_run(container, host, services, &Shown::default()).await
    }

    async fn process_in_run(
        &self,
        container: &Container,
        host: &Host,
        services: &[Service],
        shown: &Shown,
    ) -> Called {
        let visible = |key: &str| self.allowance.grants.env.is_match(key);
        let sight = Sight { wants: self.identity.wants, visible: &visible, shown };
        let settings = self.settings.clone();
        let run = match self.linked.process(settings, container, host, services, sight) {
            Ok(run) => run,
            Err(error) => return Called { result: Err(error), messages: Vec::new() },
        };
        let GuestCall { result, messages, time, memory } = self.call(run).await;
        let result = match result {
            Ok(Ok(decision)) => self.within_limits(services, decision),
            Ok(Err(reason)) => Err(StageError::Guest(one_line(&reason))),
            Err(error) => Err(error),
        };
        let outcome = result.as_ref().map_or_else(StageError::kind, |_| "ok");
        self.figures.record(&stats::Call { outcome, time, memory });
        Called { result, messages }
    }
}
