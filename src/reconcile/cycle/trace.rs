//! The way of a container through a look, as it is noted and told.

use super::{Observed, Shared, agenda::JobResult};
use crate::{
    error::error_chain,
    model::{
        container::ContainerId,
        timed::{Timed, Timer},
    },
    pipeline::{Change, Mode, Pipeline, Trace},
    reconcile::{
        decision::Subject,
        job::JobError,
        state::overview::Became,
        way::{Begun, Part, PartKind, Way},
    },
};

impl Shared {
    /// A look begins, if ways are told.
    pub(super) fn begin_way(&self, id: &ContainerId) -> Option<Begun> {
        let ways = self.ways.as_ref()?;
        let known = {
            let state = self.state();
            (state.name(id).map(String::from), state.roster.row(id).map(|row| row.image.clone()))
        };
        Some(ways.begin(id, known))
    }

    /// Something was done for a container.
    pub(super) fn note_part(
        &self,
        id: &ContainerId,
        kind: impl FnOnce() -> PartKind,
        timed: Timed,
        error: Option<String>,
    ) {
        if let Some(ways) = &self.ways {
            ways.note(id, Part { kind: kind(), timed, error });
        }
    }

    /// A look has ended.
    pub(super) fn tell_way(
        &self,
        begun: Option<Begun>,
        observed: &Observed,
        concluded: &JobResult,
    ) {
        let Some((ways, mut begun)) = self.ways.as_ref().zip(begun) else { return };
        let id = &observed.id;
        let row = self.state().roster.row(id).cloned();
        let (name, image) = std::mem::take(&mut begun.known);
        let (error, container) = (concluded.as_ref().err(), observed.container.as_ref());
        let outcome = observed.outcome.as_ref();
        // Of a run that failed there is what came before, and the stage that failed.
        let so_far = match error {
            Some(JobError::Pipeline(error)) => Some(error),
            _ => None,
        };
        let failed = so_far.map(|error| (error.stage.as_str(), error_chain(&error.source)));
        let traces = outcome.or(so_far.map(|error| &*error.so_far));
        let traces = traces.into_iter().flat_map(|outcome| &outcome.trace);
        let part = |trace: &Trace| stage(trace, &observed.pipeline, failed.as_ref());
        let became = match error {
            Some(_) => Became::Failed.word(),
            None => row.as_ref().map_or("gone", |row| row.became.word()),
        };
        let image = container.map(|one| one.image.clone()).or(image);
        let way = Way {
            pipeline: observed.pipeline.digest(),
            container: Subject {
                id: id.clone(),
                name: container.map(|one| one.name.clone()).or(name).unwrap_or_default(),
                image: image.unwrap_or_default(),
            },
            timed: Timer::start().stop(),
            heard: false,
            outcome: became.to_string(),
            error: error.map(|error| error_chain(error)),
            services: outcome.map_or(0, |outcome| outcome.services.len()),
            parts: traces.filter_map(part).collect(),
        };
        ways.end(&begun, way);
    }
}

/// A stage's part; none of one that the container is not for.
fn stage(trace: &Trace, pipeline: &Pipeline, failed: Option<&(&str, String)>) -> Option<Part> {
    let timed = trace.timing.timed?;
    let step = pipeline.steps().iter().find(|step| step.name() == trace.stage);
    let mode = step.map_or(Mode::Enforce, |step| step.rules().mode);
    let changes = || trace.changes.iter().chain(&trace.would_be);
    let is_veto = |(_, change): &&(String, Change)| matches!(change, Change::Vetoed(_));
    let vetoed = changes().filter(is_veto).count();
    let own = trace.failure.as_ref().map(|failure| failure.error.clone());
    let last = failed.filter(|(stage, _)| *stage == trace.stage).map(|(_, error)| error.clone());
    Some(Part {
        kind: PartKind::Stage {
            name: trace.stage.clone(),
            mode,
            changed: changes().count() - vetoed,
            vetoed,
            remembered: trace.timing.remembered,
        },
        timed,
        error: own.or(last),
    })
}
