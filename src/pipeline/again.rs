//! Whether a pipeline is idempotent: it is run on its own result, which ought to
//! stay as it is.
//!
//! A stage that describes services from scratch, as the stage `registrator` does,
//! takes no part in that: whatever it is given, it says what the container says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Change, FieldChange, Outcome, Pipeline, PipelineError};
use crate::{
    error::error_chain,
    model::{container::Container, host::Host},
};

/// A reason why a result does not stay as it is when the pipeline is run on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Unsettled {
    /// A field has another value each time.
    Changes {
        /// The service.
        service: String,
        /// The field.
        field: String,
        /// The stages that change it.
        stages: Vec<String>,
        /// The value of the first run, as JSON.
        first: String,
        /// That of the second one.
        second: String,
    },
    /// Several stages change it to and fro, and it ends as it was.
    Fought {
        /// The service.
        service: String,
        /// The field.
        field: String,
        /// The stages.
        stages: Vec<String>,
    },
    /// A stage vetoes what it had let pass.
    Vetoed {
        /// The service.
        service: String,
        /// The stage.
        stage: String,
        /// Its reason.
        reason: String,
    },
    /// A stage adds a service each time.
    Added {
        /// The service.
        service: String,
        /// The stage.
        stage: String,
    },
    /// A stage fails on it.
    Failed {
        /// The stage.
        stage: String,
        /// The error.
        error: String,
    },
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changes { service, field, stages, first, second } => write!(
                f,
                "{service}: {field} differs each time the pipeline runs on its own result: \
                 {first}, then {second} (by {})",
                stages.join(", ")
            ),
            Self::Fought { service, field, stages } => {
                write!(f, "{service}: the stages {} fight over its {field}", stages.join(" and "))
            }
            Self::Vetoed { service, stage, reason } => {
                write!(f, "{service}: stage {stage} vetoes what it has let pass: {reason}")
            }
            Self::Added { service, stage } => {
                write!(f, "{service}: stage {stage} adds it each time")
            }
            Self::Failed { stage, error } => {
                write!(f, "stage {stage} fails on the pipeline's own result: {error}")
            }
        }
    }
}

impl Pipeline {
    /// Run the pipeline on its own result, and say what does not stay as it is.
    pub async fn run_again(
        &self,
        container: &Container,
        host: &Host,
        result: &Outcome,
    ) -> Vec<Unsettled> {
        // A degraded is not what the pipeline makes of it.
        if result.services.is_empty() || result.degraded().is_some() {
            return Vec::new();
        }
        let start = Outcome { services: result.services.clone(), ..Outcome::default() };
        match self.run(container, host, start, |step| !step.is_registrator()).await {
            Ok(again) => unsettled(&again),
            Err(PipelineError { stage, source, .. }) => {
                vec![Unsettled::Failed { stage, error: error_chain(&source) }]
            }
        }
    }
}

/// The changes by stages to services that should have stayed as they are.
fn unsettled(again: &Outcome) -> Vec<Unsettled> {
    let mut found = Vec::new();
    // Each field that was changed: the service's first ID, the field, the value
    // before and after, and by whom.
    let mut changed: Vec<(String, FieldChange, Vec<String>)> = Vec::new();
    // The first IDs of services by those that they have now.
    let mut first_ids: Vec<(String, String)> = Vec::new();
    for trace in &again.trace {
        let stage = &trace.stage;
        for (id, change) in &trace.changes {
            let first = first_ids.iter().find(|(now, _)| now == id);
            let first = first.map_or(id, |(_, first)| first).clone();
            match change {
                Change::Vetoed(reason) => found.push(Unsettled::Vetoed {
                    service: first,
                    stage: stage.clone(),
                    reason: reason.clone(),
                }),
                Change::Added => {
                    found.push(Unsettled::Added { service: first, stage: stage.clone() });
                }
                Change::Changed(fields) => {
                    for field in fields {
                        note(&mut changed, &first, stage, field);
                    }
                    let new = fields.iter().find(|field| field.field == "id");
                    if let Some(new) = new.and_then(|field| field.to.as_str()) {
                        first_ids.retain(|(now, _)| now != id);
                        first_ids.push((new.to_string(), first));
                    }
                }
            }
        }
    }
    found.extend(changed.into_iter().map(|(service, change, stages)| {
        let FieldChange { field, from, to } = change;
        let field = field.to_string();
        if from == to {
            return Unsettled::Fought { service, field, stages };
        }
        let (first, second) = (from.to_string(), to.to_string());
        Unsettled::Changes { service, field, stages, first, second }
    }));
    found
}

fn note(
    changed: &mut Vec<(String, FieldChange, Vec<String>)>,
    service: &str,
    stage: &str,
    change: &FieldChange,
) {
    let known =
        changed.iter_mut().find(|(id, known, _)| id == service && known.field == change.field);
    match known {
        Some((_, known, stages)) => {
            known.to.clone_from(&change.to);
            stages.push(stage.to_string());
        }
        None => changed.push((service.to_string(), change.clone(), vec![stage.to_string()])),
    }
}
