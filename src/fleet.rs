//! Recorded fleets: a line of JSON for each container with what became of it, to
//! run them through another pipeline elsewhere.
//!
//! A line stands for itself, with its host's facts, so that the files of many hosts
//! can be put into one.

use std::collections::BTreeMap;

use globset::GlobSet;
use serde::{Deserialize, Serialize};

use crate::{
    error::error_chain,
    model::{container::Container, host::Host, service::Service},
    pipeline::{Change, FieldChange, Outcome, Pipeline, PipelineError, diff},
    secrets,
};

/// The version of the lines.
pub const VERSION: u32 = 1;

/// A container and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Line {
    /// [`VERSION`].
    pub version: u32,
    /// The host's facts.
    pub host: Host,
    /// The container.
    pub container: Container,
    /// How many of its variables were left out.
    #[serde(default)]
    pub redacted: usize,
    /// In how many of its variables and labels a secret is hidden.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hidden: usize,
    /// Whether a stage decides on what is hidden, so that the result is that of the line and
    /// not of the real container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inexact: bool,
    /// The container's outcome.
    pub result: Recorded,
}

/// The outcome of a container in the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Recorded {
    /// The services to register, by ID.
    pub services: Vec<Service>,
    /// The services that a stage vetoed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vetoed: Vec<Vetoed>,
    /// Why something was no candidate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// How a stage failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A service that was vetoed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vetoed {
    /// The service's ID.
    pub service: String,
    /// The stage.
    pub stage: String,
    /// Its reason.
    pub reason: String,
}

impl From<Result<Outcome, PipelineError>> for Recorded {
    fn from(result: Result<Outcome, PipelineError>) -> Self {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => return Self { error: Some(error_chain(&error)), ..Self::default() },
        };
        let mut services = outcome.services;
        services.sort_by(|a, b| a.id.cmp(&b.id));
        let veto = |veto: crate::pipeline::Veto| Vetoed {
            service: veto.service.id,
            stage: veto.stage,
            reason: veto.reason,
        };
        let mut vetoed: Vec<_> = outcome.vetoed.into_iter().map(veto).collect();
        vetoed.sort();
        Self { services, vetoed, ignored: outcome.ignored, error: None }
    }
}

/// Which variables of containers may be recorded.
#[derive(Debug, Clone)]
pub struct Recordable {
    /// Those that some stage is granted, or the choice of containers sees.
    pub granted: GlobSet,
    /// Those that the operator has granted by a name of their own, secret or not: a stage
    /// cannot decide alike without them.
    pub named: GlobSet,
}

impl Recordable {
    fn named(&self, key: &str) -> bool {
        self.named.is_match(key) && !key.starts_with("SERVICE_")
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A result as JSON, with what is secret in it hidden.
fn without_secrets(result: &Recorded) -> Option<serde_json::Value> {
    let mut all = serde_json::to_value(result).ok()?;
    secrets::json(&mut all);
    Some(all)
}

impl Line {
    /// The line of a container, as far as it may be recorded. The result is what the
    /// pipeline makes of the line's own container, so that the same pipeline makes the same
    /// of it again; where that is not what it makes of the real one but for what is hidden,
    /// the line says so.
    pub async fn record(
        pipeline: &Pipeline,
        host: &Host,
        container: Container,
        recorded: Option<&Recordable>,
    ) -> Self {
        let real: Recorded = pipeline.evaluate(&container, host).await.into();
        let version = VERSION;
        let host = host.clone();
        let Some(recorded) = recorded else {
            let (redacted, hidden, inexact) = (0, 0, false);
            return Self { version, host, container, redacted, hidden, inexact, result: real };
        };
        let all = container.env.len();
        let (mut container, hidden) = secrets::container(container, |key| recorded.named(key));
        container.env.retain(|(key, _)| recorded.granted.is_match(key));
        let redacted = all - container.env.len();
        if hidden == 0 {
            let inexact = false;
            return Self { version, host, container, redacted, hidden, inexact, result: real };
        }
        let result: Recorded = pipeline.evaluate(&container, &host).await.into();
        let inexact = without_secrets(&real) != without_secrets(&result);
        Self { version, host, container, redacted, hidden, inexact, result }
    }

    /// Read a line.
    ///
    /// # Errors
    ///
    /// It is none, or one of another version; the words say why.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let fault = |error: serde_json::Error| format!("it is no recorded container: {error}");
        let Version { version } = serde_json::from_slice(text.as_bytes()).map_err(fault)?;
        if version != VERSION {
            return Err(format!("it is of version {version}; this program reads {VERSION}"));
        }
        serde_json::from_slice(text.as_bytes()).map_err(fault)
    }

    /// Run another pipeline on the container, and compare its outcome with the
    /// recorded one.
    pub async fn replay(self, pipeline: &Pipeline) -> Difference {
        let result = pipeline.evaluate(&self.container, &self.host).await;
        let traces = result.iter().flat_map(|outcome| &outcome.trace);
        let would_be = traces.flat_map(|trace| {
            trace.would_be.iter().map(|(service, change)| WouldBe {
                stage: trace.stage.clone(),
                service: service.clone(),
                change: change.clone(),
            })
        });
        let would_be = would_be.collect();
        let result = result.into();
        Difference {
            host: self.host.hostname,
            id: self.container.id.to_string(),
            name: self.container.name,
            image: self.container.image,
            changes: compare(&self.result, &result),
            would_be,
        }
    }
}

/// The differences of a container's outcomes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The host's name.
    pub host: String,
    /// The container's identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The differences; empty if there are none.
    pub changes: Vec<Differs>,
    /// The changes that monitored stages of the other pipeline would make.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_be: Vec<WouldBe>,
}

/// A change that a monitored stage would make to a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WouldBe {
    /// The stage.
    pub stage: String,
    /// The service's ID.
    pub service: String,
    /// The change.
    pub change: Change,
}

impl Difference {
    /// Whether the container could not be judged, and could be before.
    pub fn fails(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Differs::Fails { now: Some(_), .. }))
    }
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Differs {
    /// A service that was not there.
    Added {
        /// The service.
        service: Box<Service>,
    },
    /// A service that is there no more.
    Removed {
        /// Its ID.
        id: String,
        /// Its name.
        name: String,
        /// By which stage, and why, if it is vetoed now.
        #[serde(skip_serializing_if = "Option::is_none")]
        veto: Option<Vetoed>,
    },
    /// A service that is different.
    Changed {
        /// The ID that it had.
        id: String,
        /// The fields that differ.
        fields: Vec<FieldChange>,
    },
    /// A service that is not registered, as before, but for another reason.
    Reason {
        /// The service's ID.
        id: String,
        /// Why it was not.
        was: Option<String>,
        /// Why it is not now.
        now: Option<String>,
    },
    /// A stage fails, or fails no more, or otherwise.
    Fails {
        /// How it failed.
        was: Option<String>,
        /// How it fails now.
        now: Option<String>,
    },
}

fn compare(was: &Recorded, now: &Recorded) -> Vec<Differs> {
    if was.error != now.error {
        return vec![Differs::Fails { was: was.error.clone(), now: now.error.clone() }];
    }
    let mut found = Vec::new();
    let by_id = |services: &'_ [Service]| -> BTreeMap<String, Service> {
        services.iter().map(|service| (service.id.clone(), service.clone())).collect()
    };
    let (old, mut new) = (by_id(&was.services), by_id(&now.services));
    let mut gone = Vec::new();
    for (id, before) in old {
        match new.remove(&id) {
            Some(after) if after == before => {}
            Some(after) => found.push(Differs::Changed { id, fields: diff(&before, &after) }),
            None => gone.push(before),
        }
    }
    for before in gone {
        // A service that has another ID is the one that stands for the same port.
        let successor =
            new.values().find(|after| before.origin.is_some() && after.origin == before.origin);
        match successor.map(|successor| successor.id.clone()).and_then(|id| new.remove(&id)) {
            Some(after) => {
                found.push(Differs::Changed { fields: diff(&before, &after), id: before.id });
            }
            None => {
                let veto = now.vetoed.iter().find(|veto| veto.service == before.id);
                found.push(Differs::Removed {
                    veto: veto.or(now.vetoed.first()).cloned(),
                    id: before.id,
                    name: before.name,
                });
            }
        }
    }
    let added = new.into_values().map(|service| Differs::Added { service: Box::new(service) });
    found.extend(added);
    found.extend(reasons(was, now));
    found
}

/// The services that are registered neither then nor now, but for other reasons.
fn reasons(was: &Recorded, now: &Recorded) -> Vec<Differs> {
    let words = |one: &Vetoed| format!("vetoed by {}: {}", one.stage, one.reason);
    let of = |all: &[Vetoed]| -> BTreeMap<String, String> {
        all.iter().map(|one| (one.service.clone(), words(one))).collect()
    };
    let (old, new) = (of(&was.vetoed), of(&now.vetoed));
    let registered =
        |id: &String| was.services.iter().chain(&now.services).any(|service| service.id == *id);
    let ids: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differing = ids.into_iter().filter(|id| old.get(*id) != new.get(*id) && !registered(id));
    let reason = |id: &String| Differs::Reason {
        id: id.clone(),
        was: old.get(id).cloned(),
        now: new.get(id).cloned(),
    };
    differing.map(reason).collect()
}
