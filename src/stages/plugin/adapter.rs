//! The adapter of a version of the contract, from its generated types to the daemon's own.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use wasmtime::Store;

use crate::stages::plugin::{failure::Phase, guest::Guest};
use crate::{
    model::{container::Container, host::Host, service::Service},
    pipeline::{Decision, Shown, StageError, Wants},
};

/// The interface that a stage exports, in every version.
pub(super) const STAGE: &str = "wharfinger:pipeline/stage";

/// A call that is ready to be made in a store of its own. It says when the instance is made.
pub(super) type Run<T> = Box<
    dyn for<'a> FnOnce(&'a mut Store<Guest>, &'a mut Phase) -> BoxFuture<'a, wasmtime::Result<T>>
        + Send,
>;

/// A component's description of itself.
pub(super) struct Description {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) summary: String,
    pub(super) settings_schema: Option<String>,
    pub(super) wants: Wants,
    pub(super) attributes: Vec<(String, String)>,
}

/// The part of the facts that a stage sees.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    /// The facts beyond a container that it wants.
    pub(super) wants: Wants,
    /// Whether it sees a variable of the container's environment.
    pub(super) visible: &'a dyn Fn(&str) -> bool,
    /// The forms in which they were shown to stages before it in the same run.
    pub(super) shown: &'a Shown,
}

/// A linked component, and how it is called in the daemon's own types.
pub(super) trait Adapter: Send + Sync {
    /// Ask what it is.
    fn describe(&self) -> Run<Description>;

    /// Let it validate its settings.
    fn validate(&self, settings: Arc<str>) -> Run<Result<(), Vec<String>>>;

    /// Let it decide.
    ///
    /// # Errors
    ///
    /// The container cannot be shown to it.
    fn process(
        &self,
        settings: Arc<str>,
        container: &Container,
        host: &Host,
        services: &[Service],
        sight: Sight<'_>,
    ) -> Result<Run<Result<Decision, String>>, StageError>;
}

/// Define `Linked`, the adapter of version `$version`, from what its generated bindings and its module
/// `contract` have. `$wants` says which facts a description wants; `$unknown` why a container cannot be
/// shown to a stage that wants these, if it cannot; and `$hide` takes away what it does not want.
macro_rules! linked {
    ($version:path, wants: $wants:path, unknown: $unknown:path, hide: $hide:path) => {
        /// A component of this version.
        pub(super) struct Linked {
            pre: StageComponentPre<Guest>,
            /// The function `process`. The generated code would compare the types of all three at each call.
            process: ComponentExportIndex,
        }

        /// The arguments and the result of `process`.
        type Process<'a> = TypedFunc<
            (&'a str, &'a types::Container, &'a types::HostFacts, &'a [types::Service]),
            (Result<types::Outcome, String>,),
        >;

        impl Linked {
            /// Link a component.
            pub(super) fn new(
                linker: &Linker<Guest>,
                component: &Component,
            ) -> wasmtime::Result<Self> {
                let pre = StageComponentPre::new(linker.instantiate_pre(component)?)?;
                let stage = format!("{STAGE}@{}", $version.number());
                let stage = component.get_export_index(None, &stage);
                let process = component.get_export_index(stage.as_ref(), "process");
                let process = process.expect("it is exported, by the types that were compared");
                Ok(Self { pre, process })
            }
        }

        impl Adapter for Linked {
            fn describe(&self) -> Run<Description> {
                let linked = self.pre.clone();
                Box::new(move |store, phase| {
                    Box::pin(async move {
                        let instance = linked.instantiate_async(&mut *store).await?;
                        *phase = Phase::Call;
                        let guest = instance.wharfinger_pipeline_stage();
                        let said = guest.call_describe(store).await?;
                        let pair = |one: types::Attribute| (one.key, one.value);
                        let wants = $wants(&said);
                        Ok(Description {
                            wants,
                            name: said.name,
                            version: said.version,
                            summary: said.summary,
                            settings_schema: said.settings_schema,
                            attributes: said.attributes.into_iter().map(pair).collect(),
                        })
                    })
                })
            }

            fn validate(&self, settings: Arc<str>) -> Run<Result<(), Vec<String>>> {
                let linked = self.pre.clone();
                Box::new(move |store, phase| {
                    Box::pin(async move {
                        let instance = linked.instantiate_async(&mut *store).await?;
                        *phase = Phase::Call;
                        let guest = instance.wharfinger_pipeline_stage();
                        guest.call_validate_settings(store, &settings).await
                    })
                })
            }

            fn process(
                &self,
                settings: Arc<str>,
                container: &Container,
                host: &Host,
                services: &[Service],
                Sight { wants, visible, shown }: Sight<'_>,
            ) -> Result<Run<Result<Decision, String>>, StageError> {
                $unknown(container, wants)?;
                let (linked, process) = (self.pre.instance_pre().clone(), self.process);
                // All by which what one stage is shown of a container differs from what another one is.
                let variables: Vec<_> = container.env.iter().map(|(key, _)| visible(key)).collect();
                let facts = shown.get_or_make((variables, wants), || {
                    let mut container = contract::container(container, visible);
                    let mut host = contract::host(host);
                    $hide(&mut container, &mut host, wants);
                    (container, host)
                });
                let proposed: Vec<_> = services.iter().map(contract::service).collect();
                let unseen = services.iter().map(Service::unseen).collect();
                Ok(Box::new(move |store, phase| {
                    Box::pin(async move {
                        let instance = linked.instantiate_async(&mut *store).await?;
                        *phase = Phase::Call;
                        let process: Process<'_> = instance.get_typed_func(&mut *store, process)?;
                        let (container, host) = &*facts;
                        let arguments = (&*settings, container, host, &*proposed);
                        let (answer,) = process.call_async(store, arguments).await?;
                        Ok(answer.map(|outcome| decision(outcome, unseen)))
                    })
                }))
            }
        }

        impl bindings::wharfinger::pipeline::logging::Host for Guest {
            fn log(&mut self, level: types::logging::Level, message: String) {
                self.voice.log(contract::level(level), &message);
            }
        }

        impl bindings::wharfinger::pipeline::types::Host for Guest {}

        /// Link what the contract lets a stage import.
        pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
            StageComponent::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
        }
    };
}

pub(super) use linked;
