//! Why a container's services are what they are, or why there are none.

mod absences;
mod find;

pub use find::Meant;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    absence::{Absence, Fault},
    cycle::Shared,
    difference::differences,
    state::plan::conflict,
    surroundings::Unknown,
};
use crate::model::marks::Owner;
use crate::{
    error::error_chain,
    model::{
        container::{Container, ContainerId},
        registered::Registered,
        service::Service,
    },
    pipeline::{Lint, Outcome, PipelineError, StageError, StageNote, Survey, lint},
    registry::body,
};

/// The variables of a container that are shown: others may be secrets.
const SHOWN: &str = "SERVICE_";

/// All that there is to say of one container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The facts that were read, without variables that may be secrets. None if
    /// nothing but Consul knows of what was asked for.
    pub container: Option<Container>,
    /// How many variables are not shown.
    pub hidden: usize,
    /// The stages of the pipeline, each with its plugin and version.
    pub stages: Vec<StageNote>,
    /// The candidates and what each stage did to them; up to the failure, if a
    /// stage failed.
    pub outcome: Option<Outcome>,
    /// The services that the pipeline made.
    pub services: Vec<Explained>,
    /// The services that are registered for it and not wanted.
    pub unwanted: Vec<Registered>,
    /// Why something, or all, is not registered.
    pub absences: Vec<Absence>,
    /// Faults that keep nothing from being registered, a sentence each.
    pub warnings: Vec<String>,
}

/// A service that the pipeline made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explained {
    /// The service with its marks.
    pub service: Service,
    /// The body that Consul's agent is sent.
    pub body: Value,
    /// The parts of it that are not sent, and why, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// The service that is registered under its ID now.
    pub registered: Option<Registered>,
    /// How the two compare.
    pub standing: Standing,
}

/// How a wanted service compares with the registered one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// They are the same.
    Registered,
    /// These fields differ.
    Differs(Vec<String>),
    /// Nothing is registered under the ID.
    Missing,
    /// The ID is somebody else's.
    Taken(String),
}

/// Says why services are what they are.
pub struct Explainer {
    shared: Arc<Shared>,
    faults: HashMap<ContainerId, Fault>,
    /// The registered services, if they are not to be read.
    registered: Option<BTreeMap<String, Registered>>,
}

impl Explainer {
    pub(super) fn new(
        shared: Arc<Shared>,
        faults: impl IntoIterator<Item = (ContainerId, Fault)>,
    ) -> Self {
        Self { shared, faults: faults.into_iter().collect(), registered: None }
    }

    pub(super) fn against(self, registered: BTreeMap<String, Registered>) -> Self {
        Self { registered: Some(registered), ..self }
    }

    /// Explain the containers that a word stands for: a container's name,
    /// identifier or the beginning of it, else a service's ID or name. None if it
    /// stands for nothing.
    ///
    /// # Errors
    ///
    /// Containers or services cannot be read; the words say which.
    pub async fn explain(&self, what: &str) -> Result<Vec<Explanation>, String> {
        let registered = match &self.registered {
            Some(registered) => registered.clone(),
            None => self.shared.registry.read().await.map_err(|error| error_chain(&error))?,
        };
        let containers = self.find(what, &registered).await?;
        if containers.is_empty() {
            return Ok(self.ownerless(what, &registered));
        }
        let mut all = Vec::new();
        for container in containers {
            all.push(self.container(container, &registered).await);
        }
        Ok(all)
    }

    async fn container(
        &self,
        mut container: Container,
        registered: &BTreeMap<String, Registered>,
    ) -> Explanation {
        let pipeline = self.shared.pipeline();
        let mut explanation = Explanation {
            container: None,
            hidden: 0,
            stages: pipeline.notes(),
            outcome: None,
            services: Vec::new(),
            unwanted: Vec::new(),
            absences: Vec::new(),
            warnings: Vec::new(),
        };
        let mut failure: Option<PipelineError> = None;
        let host = self.shared.surroundings(&pipeline, &mut container).await;
        if container.state.is_running() {
            let evaluated = match &host {
                Ok(host) => pipeline.evaluate(&container, host).await,
                Err(unknown) => Err(unknown_to(&container, unknown)),
            };
            match evaluated {
                Ok(outcome) => {
                    let host = host.as_deref().unwrap_or(&self.shared.rules.host);
                    let again = pipeline.run_again(&container, host, &outcome).await;
                    explanation.warnings.extend(again.iter().map(ToString::to_string));
                    explanation.services = self.services(&container, &outcome, registered).await;
                    explanation.outcome = Some(outcome);
                }
                Err(error) => {
                    explanation.outcome = Some(*error.so_far.clone());
                    failure = Some(error);
                }
            }
        }
        let wanted: Vec<_> = explanation.services.iter().map(|one| one.service.clone()).collect();
        let mut survey = Survey::default();
        survey.note(&container, &wanted);
        explanation.warnings.extend(survey.findings().iter().map(ToString::to_string));
        let heartbeat = self.shared.rules.lifecycle.heartbeat;
        for one in &explanation.services {
            let found = one.dropped.iter().cloned().chain(lint(&one.service, Lint { heartbeat }));
            let id = &one.service.id;
            explanation.warnings.extend(found.map(|words| format!("{id}: {words}")));
        }
        let marked = registered.values().filter(|one| {
            self.container_of(one).as_ref() == Some(&container.id)
                && !explanation.services.iter().any(|wanted| wanted.service.id == one.id)
        });
        explanation.unwanted = marked.cloned().collect();
        explanation.absences = self.absences(&container, &explanation, failure.as_ref());
        let denied = self.denied(&explanation).await;
        explanation.absences.extend(denied);
        explanation.hidden = container.env.len();
        let shown = |(key, _): &(String, String)| key.starts_with(SHOWN);
        let container =
            Container { env: container.env.into_iter().filter(shown).collect(), ..container };
        explanation.hidden -= container.env.len();
        explanation.container = Some(container);
        explanation
    }

    /// The container that a registered service's mark names.
    fn container_of(&self, registered: &Registered) -> Option<ContainerId> {
        match self.shared.state().catalog.owner(registered) {
            Owner::Ours(container) => Some(container),
            _ => None,
        }
    }

    async fn services(
        &self,
        container: &Container,
        outcome: &Outcome,
        registered: &BTreeMap<String, Registered>,
    ) -> Vec<Explained> {
        let mut services = outcome.services.clone();
        self.shared.rules.lifecycle.add_checks(container, &mut services);
        let mut all = Vec::new();
        for service in services {
            let marks = self.shared.state().catalog.marks().clone();
            let service = marks.stamp(&container.id, service);
            let sent = self.shared.registry.as_sent(&service).await;
            let body = body::register(sent.as_ref().map_or(&service, |sent| &sent.service));
            let dropped = sent.iter().flat_map(|sent| &sent.dropped).map(ToString::to_string);
            let dropped = dropped.collect();
            let now = registered.get(&service.id).cloned();
            let standing = self.standing(&container.id, &service, now.as_ref());
            all.push(Explained { service, body, dropped, registered: now, standing });
        }
        all
    }

    fn standing(
        &self,
        container: &ContainerId,
        service: &Service,
        now: Option<&Registered>,
    ) -> Standing {
        let catalog = &self.shared.state().catalog;
        if catalog.rivals(&service.id).contains(&container) {
            let holder = catalog.claimant(&service.id);
            let holder = holder.map_or("another container".into(), |(id, name)| {
                format!("container {} ({name})", id.short())
            });
            return Standing::Taken(holder);
        }
        if let Some(other) = conflict(catalog, &service.id) {
            return Standing::Taken(other);
        }
        let Some(now) = now else { return Standing::Missing };
        match differences(service, now) {
            fields if fields.is_empty() => Standing::Registered,
            fields => Standing::Differs(fields.into_iter().map(String::from).collect()),
        }
    }

    /// The explanation of services that only the registry knows of.
    fn ownerless(&self, what: &str, registered: &BTreeMap<String, Registered>) -> Vec<Explanation> {
        let found: Vec<_> =
            registered.values().filter(|one| one.id == what || one.name == what).cloned().collect();
        if found.is_empty() {
            return Vec::new();
        }
        let absences = found.iter().map(|one| self.whose(one)).collect();
        vec![Explanation {
            container: None,
            hidden: 0,
            stages: Vec::new(),
            outcome: None,
            services: Vec::new(),
            unwanted: found,
            absences,
            warnings: Vec::new(),
        }]
    }

    /// Whether an ended container keeps its services by the operator's word.
    fn keeps(&self, container: &Container) -> bool {
        self.shared.rules.keeps(container)
    }
}
/// That nothing is decided on a container, since what its stages are shown cannot be asked for.
fn unknown_to(container: &Container, unknown: &Unknown) -> PipelineError {
    PipelineError {
        stage: "facts".into(),
        container: container.id.clone(),
        name: container.name.clone(),
        source: StageError::Host(unknown.words()),
        so_far: Box::default(),
    }
}
