//! A forecast, as it is told to others.

use serde::Serialize;
use serde_json::Value;

use super::{Hint, dry_run::Write};
use crate::{
    error::error_chain,
    model::{container::ContainerId, service::Service},
    pipeline::{FieldChange, Finding, Outcome, Unsettled},
    reconcile::{
        cycle::{Observed, Shared},
        job::JobError,
        state::{
            guard::Held,
            plan::{Action, Conflict, Reason},
        },
    },
    registry::body,
};

/// The writes that would be made, with the reasons and findings.
#[derive(Debug, Default, Serialize)]
pub struct Forecast {
    /// The containers in the order of their identifiers: those that run, and
    /// those that something is registered for.
    pub containers: Vec<ForecastContainer>,
    /// The writes that would remove what is left of containers that are gone.
    pub dangling: Vec<ForecastWrite>,
    /// The changes that the bulk guard would hold.
    pub held: Option<Held>,
    /// The findings across all containers.
    pub findings: Vec<Finding>,
    /// The hints in the registry that something was meant otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Hint>,
}

/// A container's identifier, name and image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Brief {
    /// The full identifier.
    pub id: String,
    /// The name; empty if there is no such container any more.
    pub name: String,
    /// The image as it was given.
    pub image: String,
}

/// The forecast for one container.
#[derive(Debug, Default, Serialize)]
pub struct ForecastContainer {
    /// Which it is.
    pub container: Brief,
    /// The writes that would be made for it.
    pub writes: Vec<ForecastWrite>,
    /// Whether the bulk guard holds its change.
    pub held: bool,
    /// The IDs that cannot be registered because they are somebody else's.
    pub conflicts: Vec<Conflict>,
    /// IDs and names of services that Consul's ACL will not let the token write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<(String, String)>,
    /// Why it has no services at the moment although the pipeline lets them pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// Why it keeps what it has, if it could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Its outcome in the pipeline, if it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Faults that keep nothing from being registered, a sentence each.
    pub warnings: Vec<String>,
    /// Why something is written, or held, that has nothing to do with the pipeline.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The changes that the pipeline makes again when it runs on its own result.
    pub unsettled: Vec<Unsettled>,
    /// The actions that were planned for it last.
    #[serde(skip)]
    pub(super) planned: Vec<Action>,
    /// It has services now.
    #[serde(skip)]
    pub(super) had: bool,
}

/// A write that would be made.
#[derive(Debug, Clone, Serialize)]
pub struct ForecastWrite {
    /// The service's ID.
    pub id: String,
    /// The service's name.
    pub name: String,
    /// Whether the bulk guard holds it, as it never does with maintenance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The kind of write.
    #[serde(flatten)]
    pub kind: WriteKind,
}

/// A kind of write.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum WriteKind {
    /// It is registered.
    Register {
        /// Why.
        reason: Reason,
        /// The fields that differ from the registered ones.
        changes: Vec<FieldChange>,
        /// The body that Consul's agent would be sent.
        body: Value,
        /// The parts of the service that the body lacks, and why, a sentence each.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        dropped: Vec<String>,
        /// The service.
        #[serde(skip)]
        service: Box<Service>,
    },
    /// It is deregistered.
    Deregister,
    /// It is put into maintenance, or taken out of it.
    Maintenance {
        /// Whether it is put into it.
        enable: bool,
    },
}

impl ForecastContainer {
    pub(super) fn of(observed: &Observed) -> Self {
        let container = observed.container.as_ref();
        let brief = Brief {
            id: observed.id.to_string(),
            name: container.map(|container| container.name.clone()).unwrap_or_default(),
            image: container.map(|container| container.image.clone()).unwrap_or_default(),
        };
        let failed = match &observed.failure {
            Some(JobError::Pipeline(error)) => Some(*error.so_far.clone()),
            _ => None,
        };
        Self {
            container: brief,
            failure: observed.failure.as_ref().map(|error| error_chain(error)),
            outcome: observed.outcome.clone().or(failed),
            ..Self::default()
        }
    }

    /// Note the IDs that another container has.
    pub(super) fn rivals(&mut self, shared: &Shared, own: &ContainerId) {
        let catalog = &shared.state().catalog;
        let ids = catalog.wanted_by(own).into_iter().map(|service| service.id.clone());
        let lost = ids.filter(|id| catalog.rivals(id).contains(&own));
        let conflict = |id| Conflict { id, taken_by: "another container".into() };
        self.conflicts.extend(lost.map(conflict));
    }

    /// Whether it has services now.
    pub fn has_services(&self) -> bool {
        self.had
    }

    /// Whether something would be done.
    pub fn changes(&self) -> bool {
        !self.writes.is_empty()
    }
}

/// A write with the reason that the plan gave.
pub(super) fn written(write: Write, actions: &[Action]) -> ForecastWrite {
    match write {
        Write::Register { service, sent, dropped, changes } => {
            let reason = actions.iter().find_map(|action| match action {
                Action::Register { service: planned, reason, .. } if planned.id == service.id => {
                    Some(reason.clone())
                }
                _ => None,
            });
            ForecastWrite {
                id: service.id.clone(),
                name: service.name.clone(),
                held: false,
                kind: WriteKind::Register {
                    reason: reason.unwrap_or(Reason::New),
                    changes,
                    body: body::register(&sent),
                    dropped,
                    service,
                },
            }
        }
        Write::Deregister { was } => {
            ForecastWrite { id: was.id, name: was.name, held: false, kind: WriteKind::Deregister }
        }
        Write::Maintenance { id, enable } => {
            let kind = WriteKind::Maintenance { enable };
            ForecastWrite { id, name: String::new(), held: false, kind }
        }
    }
}
