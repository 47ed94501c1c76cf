//! The outcome of a container's way through the pipeline, with a trace of what each
//! stage did to it.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use serde::{Deserialize, Serialize};

use super::{FieldChange, Message, Mode, OnError, Remark, StageError, Step, judge::Judged};
use crate::model::{service::Service, timed::Timed};

/// A service that a stage vetoed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Veto {
    /// The stage.
    pub stage: String,
    /// The service as the stage saw it.
    pub service: Service,
    /// The stage's reason.
    pub reason: String,
}

/// The outcome of a container's way through the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The services that the container could offer, before any stage has seen them.
    #[serde(default)]
    pub candidates: Vec<Service>,
    /// The services to register.
    pub services: Vec<Service>,
    /// The services that a stage vetoed.
    pub vetoed: Vec<Veto>,
    /// Why something was no candidate, a phrase each.
    pub ignored: Vec<String>,
    /// Whether `containers.select` leaves it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unselected: bool,
    /// Warnings on the container's own words and addresses, a sentence each.
    pub warnings: Vec<String>,
    /// The traces of the stages, in order.
    pub trace: Vec<Trace>,
}

/// The trace of one stage.
#[derive(Debug, Clone, PartialEq, Hash, Serialize, Deserialize)]
pub struct Trace {
    /// The stage's name.
    pub stage: String,
    /// Its changes, by the IDs that the services had before.
    pub changes: Vec<(String, Change)>,
    /// The changes that a monitored stage would have made if it were enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_be: Vec<(String, Change)>,
    /// The stage's remarks on its verdicts, by the same IDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<(String, Remark)>,
    /// Whether the container is not among those that the stage is for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Its failure, where that did not end the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its messages to the log.
    pub messages: Vec<Message>,
    /// When it was asked.
    #[serde(skip)]
    pub timing: Timing,
}

/// When a stage was asked, which is no part of what it did: two of these are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// None if it was not asked, since the container is not among those that it is for.
    pub timed: Option<Timed>,
    /// Whether its answer was known from before.
    pub remembered: bool,
}

impl PartialEq for Timing {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Hash for Timing {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A failure of a stage that did not end the run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// The error.
    pub error: String,
    /// Whether the outcome may be another one when the stage answers. That of a
    /// monitored stage will not.
    pub matters: bool,
}

/// A stage's change to one service.
#[derive(Debug, Clone, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// These fields differ now.
    Changed(Vec<FieldChange>),
    /// It is vetoed, for this reason.
    Vetoed(String),
    /// The stage made it up.
    Added,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Changed(fields) => {
                let fields: Vec<_> = fields.iter().map(ToString::to_string).collect();
                f.write_str(&fields.join(", "))
            }
            Change::Vetoed(reason) => write!(f, "vetoed: {reason}"),
            Change::Added => f.write_str("added"),
        }
    }
}

impl Change {
    /// The change in words, as it would be if its stage were enforced.
    pub fn if_enforced(&self) -> String {
        match self {
            Self::Changed(_) => format!("would change: {self}"),
            Self::Vetoed(_) | Self::Added => format!("would be {self}"),
        }
    }
}

impl Trace {
    pub(super) fn of(step: &Step) -> Self {
        Self {
            stage: step.name().to_string(),
            changes: Vec::new(),
            would_be: Vec::new(),
            remarks: Vec::new(),
            skipped: false,
            failure: None,
            messages: Vec::new(),
            timing: Timing::default(),
        }
    }
}

/// Whether the run goes on after a stage.
pub(super) enum Then {
    GoOn,
    End,
}

impl Outcome {
    /// The first stage that failed without holding the container, so that the
    /// outcome is a degraded: the container should be looked at again.
    pub fn degraded(&self) -> Option<(&str, &Failure)> {
        self.trace.iter().find_map(|trace| {
            let failure = trace.failure.as_ref().filter(|failure| failure.matters)?;
            Some((trace.stage.as_str(), failure))
        })
    }

    /// Take over what a stage answered, as far as its mode and its rule for
    /// failures say.
    ///
    /// # Errors
    ///
    /// The stage failed, and a failure of it holds the container.
    pub(super) fn take(
        &mut self,
        step: &Step,
        mut trace: Trace,
        answer: Result<Judged, StageError>,
    ) -> Result<Then, StageError> {
        let rules = step.rules();
        let mut end = Ok(Then::GoOn);
        if let Ok(judged) = &answer {
            trace.remarks.clone_from(&judged.remarks);
        }
        match (rules.mode, answer) {
            (Mode::Enforce, Ok(judged)) => {
                self.services = judged.services;
                self.vetoed.extend(judged.vetoed);
                self.warnings.extend(judged.warnings);
                trace.changes = judged.changes;
            }
            (Mode::Monitor, Ok(judged)) => trace.would_be = judged.changes,
            (Mode::Monitor, Err(error)) => {
                trace.failure = Some(Failure { error: error.to_string(), matters: false });
            }
            (Mode::Enforce, Err(error)) => match rules.on_error {
                OnError::Hold => end = Err(error),
                OnError::Skip => {
                    trace.failure = Some(Failure { error: error.to_string(), matters: true });
                }
                OnError::Veto => {
                    self.veto_all(&mut trace, &error);
                    end = Ok(Then::End);
                }
            },
        }
        self.trace.push(trace);
        end
    }

    /// Veto all of the container, also what later stages might add.
    fn veto_all(&mut self, trace: &mut Trace, error: &StageError) {
        trace.failure = Some(Failure { error: error.to_string(), matters: true });
        let reason = format!("the stage failed: {error}");
        for service in std::mem::take(&mut self.services) {
            trace.changes.push((service.id.clone(), Change::Vetoed(reason.clone())));
            self.vetoed.push(Veto { stage: trace.stage.clone(), service, reason: reason.clone() });
        }
    }
}
