//! What comes of calling a stage.

use std::fmt::Display;

use crate::{Container, Decision, HostFacts, Service, Stage, Verdict, Wants, native};

/// What a stage made of the services that were proposed to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The services that are left, kept or changed, and then those added.
    pub services: Vec<Service>,
    /// The IDs of those that were vetoed, with the reasons.
    pub vetoes: Vec<(String, String)>,
    /// The codes of those vetoes that have one, with the IDs.
    pub codes: Vec<(String, String)>,
    /// The notes of all verdicts.
    pub notes: Vec<String>,
    /// The messages, such as `warn: the label is empty`.
    pub messages: Vec<String>,
}

impl Answer {
    /// The names of the services that are left.
    pub fn names(&self) -> Vec<&str> {
        self.services.iter().map(|service| service.name.as_str()).collect()
    }

    /// The IDs of the services that are left.
    pub fn ids(&self) -> Vec<&str> {
        self.services.iter().map(|service| service.id.as_str()).collect()
    }

    /// The tags of each of the services that are left.
    pub fn tags(&self) -> Vec<Vec<&str>> {
        self.services.iter().map(|s| s.tags.iter().map(String::as_str).collect()).collect()
    }

    /// The reasons of the vetoes.
    pub fn reasons(&self) -> Vec<&str> {
        self.vetoes.iter().map(|(_, reason)| reason.as_str()).collect()
    }

    /// The one service that is left.
    ///
    /// # Panics
    ///
    /// There is none, or more than one.
    pub fn one(&self) -> &Service {
        match &self.services[..] {
            [one] => one,
            _ => panic!("one service was expected: {self:#?}"),
        }
    }
}

/// Call a stage with settings in JSON, text or value, on a host named `host`.
///
/// # Panics
///
/// The settings are not valid, or the stage answers with an error.
pub fn run<S: Stage>(
    settings: impl Display,
    container: &Container,
    services: Vec<Service>,
) -> Answer {
    let host = super::host("host");
    answer::<S>(settings, container, &host, services)
        .unwrap_or_else(|error| panic!("the stage answers with an error: {error}"))
}

/// Call a stage with settings in JSON, on a host of the test's own.
///
/// # Errors
///
/// What the stage answers with, if it could not decide.
///
/// # Panics
///
/// The settings are not valid, or there is not one verdict for each service.
pub fn answer<S: Stage>(
    settings: impl Display,
    container: &Container,
    host: &HostFacts,
    services: Vec<Service>,
) -> Result<Answer, String> {
    let settings = settings.to_string();
    let faults = faults::<S>(&settings);
    assert!(faults.is_empty(), "the settings are not valid: {faults:#?}");

    let (container, host) = shown(container, host, native::describe::<S>().wants);
    let called = native::process::<S>(&settings, &container, &host, services.clone());
    let outcome = called.result?;
    assert_eq!(outcome.verdicts.len(), services.len(), "one verdict for each service");
    let mut answer = Answer {
        services: Vec::new(),
        vetoes: Vec::new(),
        codes: Vec::new(),
        notes: Vec::new(),
        messages: called.messages.iter().map(|(level, text)| said(*level, text)).collect(),
    };
    for (service, Verdict { decision, notes }) in services.into_iter().zip(outcome.verdicts) {
        match decision {
            Decision::Keep => answer.services.push(service),
            Decision::Replace(changed) => answer.services.push(changed),
            Decision::Veto(veto) => {
                answer.codes.extend(veto.code.map(|code| (service.id.clone(), code)));
                answer.vetoes.push((service.id, veto.reason));
            }
        }
        answer.notes.extend(notes);
    }
    answer.services.extend(outcome.added);
    Ok(answer)
}

/// What a stage that wants these facts is shown of a container and a host.
fn shown(container: &Container, host: &HostFacts, wants: Wants) -> (Container, HostFacts) {
    let (mut container, mut host) = (container.clone(), host.clone());
    let wanted = |fact| wants & fact == fact;
    container.image_facts.take_if(|_| !wanted(Wants::IMAGE));
    container.setup.take_if(|_| !wanted(Wants::SETUP));
    host.agent.take_if(|_| !wanted(Wants::AGENT));
    host.engine.take_if(|_| !wanted(Wants::ENGINE));
    (container, host)
}

/// What is wrong with settings; empty if nothing is.
pub fn faults<S: Stage>(settings: impl Display) -> Vec<String> {
    native::validate_settings::<S>(&settings.to_string()).err().unwrap_or_default()
}

fn said(level: crate::logging::Level, text: &str) -> String {
    format!(
        "{}: {text}",
        format!("{level:?}").rsplit(':').next().unwrap_or_default().to_lowercase()
    )
}
