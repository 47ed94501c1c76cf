//! Why a container has no services, or lacks one.

use super::{Explained, Explainer, Explanation, Standing};
use crate::{
    error::error_chain,
    model::{container::Container, marks::Owner, registered::Registered},
    pipeline::{PipelineError, StageError},
    reconcile::absence::{Absence, AbsenceKind},
};

impl Explainer {
    /// Why something of a container is not registered.
    pub(super) fn absences(
        &self,
        container: &Container,
        known: &Explanation,
        failure: Option<&PipelineError>,
    ) -> Vec<Absence> {
        let mut found = Vec::new();
        let mut say = |kind, service: Option<&str>, words: String| {
            found.push(Absence { kind, service: service.map(String::from), words });
        };
        if !container.state.is_running() {
            say(AbsenceKind::NotRunning, None, self.not_running(container));
        }
        if let Some(failure) = failure {
            say(AbsenceKind::Failed, None, self.failed(container, failure));
        }
        let outcome = known.outcome.as_ref().filter(|_| failure.is_none());
        for reason in outcome.into_iter().flat_map(|outcome| &outcome.ignored) {
            let kind = match known.outcome.as_ref().is_some_and(|one| one.unselected) {
                true => AbsenceKind::NotSelected,
                false if container.cut_off().as_ref() == Some(reason) => AbsenceKind::OutOfReach,
                false => AbsenceKind::NotPublished,
            };
            say(kind, None, reason.clone());
        }
        for veto in known.outcome.iter().flat_map(|outcome| &outcome.vetoed) {
            let note = known.stages.iter().find(|note| note.name == veto.stage);
            // Of the stage that reads what the container says of itself.
            if note.is_some_and(|note| note.is_registrator()) {
                say(AbsenceKind::Ignored, Some(&veto.service.id), veto.reason.clone());
            } else {
                let words = format!("by stage {}: {}", veto.stage, veto.reason);
                say(AbsenceKind::Vetoed, Some(&veto.service.id), words);
            }
        }
        if container.state.is_running()
            && let Some(words) = self.shared.rules.lifecycle.gate(container)
        {
            say(AbsenceKind::Unhealthy, None, words);
        }
        if self.shared.ending(container).is_some() {
            say(AbsenceKind::Ending, None, "it was told to end (lifecycle.drain)".into());
        }
        if self.shared.state().guard.holds(&container.id) {
            let words = "the bulk guard holds the change of this container until `wharfinger apply \
                         --confirm`; it keeps what it has";
            say(AbsenceKind::Held, None, words.into());
        }
        for one in &known.services {
            if let Standing::Taken(by) = &one.standing {
                let words = format!("the service ID is that of {by}");
                say(AbsenceKind::Taken, Some(&one.service.id), words);
            }
        }
        // That a stage fails was said above.
        let fault = self.faults.get(&container.id);
        if let Some(fault) = fault.filter(|fault| fault.kind != AbsenceKind::Failed) {
            let times = match fault.attempts {
                1 => String::new(),
                n => format!(" ({n} attempts so far)"),
            };
            say(fault.kind, None, format!("{}{times}", fault.words));
        }
        found
    }

    /// The services that Consul's ACL will not let pass, where it has not said so yet.
    pub(super) async fn denied(&self, known: &Explanation) -> Vec<Absence> {
        if known.absences.iter().any(|absence| absence.kind == AbsenceKind::Forbidden) {
            return Vec::new();
        }
        let missing = known
            .services
            .iter()
            .filter(|one| matches!(one.standing, Standing::Missing | Standing::Differs(_)));
        let names = missing.clone().map(|one| one.service.name.clone()).collect();
        let denied = self.shared.registry.not_writable(&names).await;
        let absence = |one: &Explained| Absence {
            kind: AbsenceKind::Forbidden,
            service: Some(one.service.id.clone()),
            words: format!(
                "the token lacks service {:?} {{ policy = \"write\" }}",
                one.service.name
            ),
        };
        missing.filter(|one| denied.contains(&one.service.name)).map(absence).collect()
    }

    fn not_running(&self, container: &Container) -> String {
        let state = format!("{:?}", container.state).to_lowercase();
        let code = match container.started_at {
            Some(_) => format!(", exit code {}", container.exit_code),
            None => ", it was never started".into(),
        };
        let kept = match self.keeps(container) {
            true => "; it keeps its services (-deregister on-success)",
            false => "",
        };
        format!("the container is {state}{code}{kept}")
    }

    fn failed(&self, container: &Container, failure: &PipelineError) -> String {
        let has = self.shared.state().catalog.had(&container.id).len();
        let keeps = match has {
            0 => "it has no services, and gets none until it succeeds".to_string(),
            1 => "it keeps the service that it has".into(),
            n => format!("it keeps the {n} services that it has"),
        };
        let what = match failure.source {
            StageError::Select(_) | StageError::Label(_) | StageError::Bound { .. } => {
                failure.stage.clone()
            }
            _ => format!("stage {} (on-error = hold)", failure.stage),
        };
        format!("{what}: {}; {keeps}", error_chain(&failure.source))
    }

    /// Why a service is registered that no container here offers: by its owner.
    pub(super) fn whose(&self, registered: &Registered) -> Absence {
        let owner = self.shared.state().catalog.owner(registered);
        let (kind, words) = match owner {
            Owner::Ours(id) => (
                AbsenceKind::Gone,
                format!("it was registered for container {}, which is not here", id.short()),
            ),
            Owner::OtherEngine(id) => (
                AbsenceKind::Foreign,
                format!(
                    "it was registered for container {} by the daemon of another container \
                     engine, which has this host's name; it stays until `wharfinger apply --confirm`",
                    id.short()
                ),
            ),
            Owner::Host => {
                (AbsenceKind::Gone, "it is this host's, and no container here offers it".into())
            }
            Owner::OtherHost(host) => {
                (AbsenceKind::Foreign, format!("it was registered by the daemon of host {host}"))
            }
            Owner::Member(host) => {
                (AbsenceKind::Foreign, format!("it is the daemon of host {host} itself"))
            }
            Owner::Unmarked => (
                AbsenceKind::Foreign,
                "it carries no mark: somebody else registered it, or a registrator did".into(),
            ),
        };
        Absence { kind, service: Some(registered.id.clone()), words }
    }
}
