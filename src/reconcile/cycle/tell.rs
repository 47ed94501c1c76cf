//! The notes of writes, and the telling of decisions.

use super::{Observed, Record, Shared, agenda::JobResult, execute::nobody};
use crate::{
    error::error_chain,
    model::{container::ContainerId, service::Service, timed::Timed},
    pipeline::{Change, Mode, Outcome, Pipeline, Remark, Trace},
    reconcile::{
        decision::{Candidate, Decision, Effect, RemarkTold, StageDecision, Subject, WriteTold},
        job::JobError,
        state::{
            meters::{Answered, Operation},
            overview::Became,
        },
        way::PartKind,
    },
    registry::RegistryError,
};

impl Shared {
    /// Note the answer to a write.
    pub(super) fn note_written(
        &self,
        container: &ContainerId,
        service: &str,
        operation: Operation,
        reason: &str,
        timed: Timed,
        result: &Result<(), RegistryError>,
    ) {
        let answered = match result {
            Ok(()) => Answered::Ok,
            Err(error) if error.is_transient() => Answered::Lost,
            Err(_) => Answered::Refused,
        };
        self.state().meters.wrote(container, operation, answered);
        let kind = || PartKind::Write { service: service.to_string(), operation, answered };
        let error = result.as_ref().err().map(|error| error_chain(error));
        self.note_part(container, kind, timed, error);
        if let Some(decisions) = &self.decisions {
            let write = WriteTold {
                service: service.to_string(),
                operation,
                reason: reason.to_string(),
                answered,
                error: result.as_ref().err().map(|error| error_chain(error)),
            };
            decisions.wrote(container, write);
        }
    }

    /// Tell what was decided of a container, if decisions are told and it is another one than
    /// before.
    pub(super) fn tell_decision(
        &self,
        observed: &Observed,
        record: &Record,
        concluded: &JobResult,
    ) {
        let Some(decisions) = &self.decisions else { return };
        let id = &observed.id;
        let (row, name) = {
            let state = self.state();
            (state.roster.row(id).cloned(), state.name(id).map(String::from))
        };
        let container = observed.container.as_ref();
        let image = container.map(|one| one.image.clone());
        let error = concluded.as_ref().err();
        let so_far = match error {
            Some(JobError::Pipeline(error)) => Some(&*error.so_far),
            _ => None,
        };
        let outcome = observed.outcome.as_ref().or(so_far);
        let services = observed.outcome.as_ref().map(|outcome| &outcome.services);
        let became = match error {
            Some(_) => Became::Failed.word(),
            None => row.as_ref().map_or("gone", |row| row.became.word()),
        };
        let reason = row.as_ref().and_then(|row| row.reason.clone()).filter(|_| error.is_none());
        let decision = Decision {
            at: self.time(),
            host: self.rules.host.hostname.clone(),
            pipeline: observed.pipeline.digest(),
            container: Subject {
                id: id.clone(),
                name: container.map(|one| one.name.clone()).or(name).unwrap_or_default(),
                image: image.or(row.map(|row| row.image.clone())).unwrap_or_default(),
            },
            candidates: outcome.map(candidates).unwrap_or_default(),
            stages: outcome.map(|one| stages(one, &observed.pipeline)).unwrap_or_default(),
            outcome: became.to_string(),
            reason,
            error: error.map(|error| error_chain(error)),
            services: services.into_iter().flatten().map(|one| one.id.clone()).collect(),
            notes: record.notes.clone(),
            writes: Vec::new(),
        };
        decisions.tell(decision, observed.container.is_none() && error.is_none());
    }

    /// Tell what was written for containers that nobody knows any more.
    pub(super) fn tell_leftovers(&self) {
        let Some(decisions) = &self.decisions else { return };
        let decision = Decision {
            at: self.time(),
            host: self.rules.host.hostname.clone(),
            pipeline: self.pipeline().digest(),
            container: Subject { id: nobody(), name: String::new(), image: String::new() },
            candidates: Vec::new(),
            stages: Vec::new(),
            outcome: "gone".into(),
            reason: Some("left behind by containers that are gone".into()),
            error: None,
            services: Vec::new(),
            notes: Vec::new(),
            writes: Vec::new(),
        };
        decisions.tell(decision, true);
    }
}

fn candidates(outcome: &Outcome) -> Vec<Candidate> {
    let candidate = |service: &Service| Candidate {
        id: service.id.clone(),
        name: service.name.clone(),
        address: service.address.clone(),
        port: service.port,
        protocol: service.protocol,
        container_port: service.origin.as_ref().map(|origin| origin.container_port),
        tags: service.tags.clone(),
    };
    outcome.candidates.iter().map(candidate).collect()
}

fn stages(outcome: &Outcome, pipeline: &Pipeline) -> Vec<StageDecision> {
    let mode = |trace: &Trace| {
        let step = pipeline.steps().iter().find(|step| step.name() == trace.stage);
        step.map_or(Mode::Enforce, |step| step.rules().mode)
    };
    let effects = |stage: &str, changes: &[(String, Change)]| {
        let own = pipeline.is_registrator(stage);
        changes.iter().map(|(service, change)| Effect::of(service, change, own)).collect()
    };
    let remark = |(service, remark): &(String, Remark)| RemarkTold {
        service: service.clone(),
        code: remark.code.clone(),
        notes: remark.notes.clone(),
    };
    let stage = |trace: &Trace| StageDecision {
        stage: trace.stage.clone(),
        mode: mode(trace),
        changes: effects(&trace.stage, &trace.changes),
        would_be: effects(&trace.stage, &trace.would_be),
        remarks: trace.remarks.iter().map(remark).collect(),
        skipped: trace.skipped,
        failure: trace.failure.as_ref().map(|failure| failure.error.clone()),
    };
    outcome.trace.iter().map(stage).collect()
}
