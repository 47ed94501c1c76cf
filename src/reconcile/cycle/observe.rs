//! The observation of a container: its facts, the host's, and its outcome in the pipeline.

use std::borrow::Cow;

use tokio::time::Instant;

use super::Shared;
use crate::{
    error::error_chain,
    model::{
        container::{Container, ContainerId},
        host::Host,
        timed::Timer,
    },
    pipeline::{Outcome, Pipeline},
    reconcile::{
        job::JobError,
        state::{
            Offer,
            plan::{Action, Plan},
        },
        way::PartKind,
    },
};

/// The findings about a container.
pub(in crate::reconcile) struct Observed {
    pub(in crate::reconcile) id: ContainerId,
    /// None if it is not there, or could not be read.
    pub(in crate::reconcile) container: Option<Container>,
    /// The host's facts where they are more than those of the rules.
    pub(in crate::reconcile) host: Option<Host>,
    /// Its outcome in the pipeline, if it runs.
    pub(in crate::reconcile) outcome: Option<Outcome>,
    /// Why it could not be judged.
    pub(in crate::reconcile) failure: Option<JobError>,
    /// An event has told that it has ended, and the source was not asked.
    pub(super) told: bool,
    /// In which pipeline it was judged.
    pub(super) pipeline: Pipeline,
    /// When the source was asked.
    pub(super) asked: Instant,
}

impl Observed {
    /// Why a service is deregistered for this container's sake, for people.
    pub(super) fn why_removed(&self, id: &str, offer: &Offer, plan: &Plan) -> String {
        let Some(container) = &self.container else { return "its container is gone".into() };
        if self.running().is_none() {
            let state = format!("{:?}", container.state).to_lowercase();
            return format!("its container is {state}, exit code {}", container.exit_code);
        }
        let renamed = plan.actions.iter().find_map(|action| match action {
            Action::Deregister { id: other, successors, .. } if other == id => successors.first(),
            _ => None,
        });
        if let Some((_, successor)) = renamed {
            return format!("it is {successor} now");
        }
        if offer.ending.is_some() {
            return "its container was told to end".into();
        }
        let Some(outcome) = &self.outcome else { return String::new() };
        let vetoed = outcome.vetoed.iter().find(|veto| veto.service.id == id);
        match vetoed {
            Some(veto) => format!("vetoed by stage {}: {}", veto.stage, veto.reason),
            None if outcome.unselected => "containers.select leaves its container out".into(),
            None if offer.is_by_life() && outcome.services.is_empty() => {
                container.cut_off().unwrap_or_else(|| "its container offers nothing now".into())
            }
            None if offer.is_by_life() => "its container's health check does not pass".into(),
            None => "its container does not offer it any more".into(),
        }
    }

    /// The container, if it runs.
    pub(in crate::reconcile) fn running(&self) -> Option<&Container> {
        self.container.as_ref().filter(|container| container.state.is_running())
    }
}

impl Shared {
    /// Find out about a container. Nothing is decided. Of one that is known to have ended, nobody is
    /// asked: an engine keeps whoever asks waiting until it has taken down the network.
    pub(in crate::reconcile) async fn observe(&self, id: &ContainerId) -> Observed {
        let (asked, began) = (Instant::now(), self.state().life.sharing.begin());
        let pipeline = self.pipeline();
        let mut observed = Observed {
            id: id.clone(),
            container: None,
            host: None,
            outcome: None,
            failure: None,
            told: false,
            pipeline,
            asked,
        };
        observed.container = self.state().take_ended(id);
        observed.told = observed.container.is_some();
        if observed.told {
            return observed;
        }
        let timer = Timer::start();
        let inspected = self.source.inspect(id).await;
        let error = inspected.as_ref().err().map(|error| error_chain(error));
        self.note_part(id, || PartKind::Inspect, timer.stop(), error);
        match inspected {
            Ok(container) => observed.container = container,
            Err(error) => {
                observed.failure = Some(error.into());
                return observed;
            }
        }
        self.state().note_container(&self.rules, id, observed.container.as_ref(), began);
        if observed.running().is_none() {
            return observed;
        }
        if let Some(container) = &mut observed.container {
            match self.surroundings(&observed.pipeline, container).await {
                Ok(Cow::Borrowed(_)) => {}
                Ok(Cow::Owned(host)) => observed.host = Some(host),
                Err(unknown) => {
                    observed.failure = Some(unknown.into());
                    return observed;
                }
            }
        }
        if let Some(container) = observed.running() {
            let host = observed.host.as_ref().unwrap_or(&self.rules.host);
            match observed.pipeline.evaluate(container, host).await {
                Ok(outcome) => observed.outcome = Some(outcome),
                Err(error) => observed.failure = Some(Box::new(error).into()),
            }
        }
        observed
    }
}
