//! One container in, and what the stage makes of it: by the daemon's own
//! pipeline, without Docker and without Consul.

use std::sync::Arc;

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{failure::Failure, render, workbench::STAGE};
use crate::{
    error::error_chain,
    model::{container::Container, host::Host, service::Service},
    pipeline::{Change, Message, Outcome, Pipeline, Stage, StageError},
    registry::body,
    stages::builtin::Builtin,
};

/// What the stage is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Start {
    /// The services as the stage `registrator` names them, from SERVICE_*.
    #[default]
    Registrator,
    /// A service for each port, as the daemon finds them.
    Candidates,
}

impl Start {
    fn stages(self) -> Result<Vec<Arc<dyn Stage>>, Failure> {
        match self {
            Start::Candidates => Ok(Vec::new()),
            Start::Registrator => {
                let registrator = Builtin::new("registrator", "registrator", "{}");
                let registrator = registrator.map_err(|error| Failure::new(error_chain(&error)))?;
                Ok(vec![Arc::new(registrator)])
            }
        }
    }

    /// The services that are proposed for a container, and the reasons why
    /// others are not.
    pub(super) async fn propose(
        self,
        container: &Container,
        host: &Host,
    ) -> Result<(Vec<Service>, Vec<String>), Failure> {
        let outcome = Pipeline::new(self.stages()?).evaluate(container, host).await;
        let outcome = outcome.map_err(|error| Failure::new(error_chain(&error)))?;
        let vetoed =
            outcome.vetoed.iter().map(|veto| format!("{}: {}", veto.service.id, veto.reason));
        let notes = outcome.ignored.iter().chain(&outcome.warnings).cloned();
        Ok((outcome.services.clone(), notes.chain(vetoed).collect()))
    }
}

/// What became of a container.
#[derive(Debug)]
pub(super) struct Trial {
    /// What was proposed to the stage.
    pub(super) proposed: Vec<Service>,
    /// Why nothing else was, a phrase each.
    pub(super) notes: Vec<String>,
    /// What the stage made of it.
    pub(super) result: Result<Judged, StageError>,
    /// What the stage wrote to the log.
    pub(super) messages: Vec<Message>,
    /// What does not stay as it is when the stage is handed its own result, a sentence each.
    pub(super) unsettled: Vec<String>,
}

/// What a stage that answered has made of the services.
#[derive(Debug)]
pub(super) struct Judged {
    /// What would be registered.
    pub(super) services: Vec<Service>,
    /// What would not, with the reasons.
    pub(super) vetoes: Vec<(String, String)>,
    /// What differs, by the IDs that the services had before.
    pub(super) changes: Vec<(String, Change)>,
}

impl Trial {
    /// Hand a container to a stage of the name [`STAGE`].
    pub(super) async fn of(
        stage: Arc<dyn Stage>,
        container: &Container,
        host: &Host,
        start: Start,
    ) -> Result<Self, Failure> {
        let (proposed, notes) = start.propose(container, host).await?;
        let mut stages = start.stages()?;
        stages.push(stage);
        let pipeline = Pipeline::new(stages);
        match pipeline.evaluate(container, host).await {
            Ok(outcome) => {
                let unsettled = pipeline.run_again(container, host, &outcome).await;
                let unsettled = unsettled.iter().map(ToString::to_string).collect();
                let (judged, messages) = judged(outcome);
                Ok(Self { proposed, notes, result: Ok(judged), messages, unsettled })
            }
            Err(error) if error.stage == STAGE => {
                let ours = error.messages().filter(|(stage, _)| *stage == STAGE);
                let messages = ours.map(|(_, message)| message.clone()).collect();
                let result = Err(error.source);
                Ok(Self { proposed, notes, result, messages, unsettled: Vec::new() })
            }
            Err(error) => Err(Failure::new(error_chain(&error))),
        }
    }

    /// The outcome in the form of a case's `expected.json`.
    pub(super) fn record(&self) -> Value {
        let mut record = match &self.result {
            Ok(judged) => judged.record(),
            Err(error) => error_record(&error.to_string()),
        };
        if !self.messages.is_empty() {
            record["messages"] = self.messages.iter().map(render::message).collect();
        }
        record
    }
}

/// The record of a stage that gave no answer.
pub(super) fn error_record(error: &str) -> Value {
    json!({ "services": [], "vetoes": [], "error": error })
}

fn judged(outcome: Outcome) -> (Judged, Vec<Message>) {
    let vetoes = outcome.vetoed.into_iter().filter(|veto| veto.stage == STAGE);
    let vetoes = vetoes.map(|veto| (veto.service.id, veto.reason)).collect();
    let trace = outcome.trace.into_iter().find(|trace| trace.stage == STAGE);
    let (changes, messages) =
        trace.map_or_else(Default::default, |trace| (trace.changes, trace.messages));
    (Judged { services: outcome.services, vetoes, changes }, messages)
}

impl Judged {
    /// What would be sent to Consul, sorted by ID.
    pub(super) fn bodies(&self) -> Vec<Value> {
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by(|a, b| a.id.cmp(&b.id));
        services.into_iter().map(body::register).collect()
    }

    fn record(&self) -> Value {
        let veto =
            |(service, reason): &(String, String)| json!({ "service": service, "reason": reason });
        json!({
            "services": self.bodies(),
            "vetoes": self.vetoes.iter().map(veto).collect::<Vec<_>>(),
        })
    }
}
