//! Containers that may do more to their host than an organisation wants are vetoed, or tagged: by
//! user, privileges, capabilities, mounts, a writable root and images that no digest pins.
//!
//! ```toml
//! settings.rules = ["root", "privileged", "capabilities", "mounts"]
//! ```

mod rules;

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_draft::{
    Container, Decision, Outcome, Service, Stage, Verdict, keep, label, logging, veto,
};
use wharfinger_exceptions::{Exceptions, now};

use rules::{Breach, Rule};

/// The stage.
pub struct Hardened;

wharfinger_draft::export!(Hardened);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The rules that count.
    rules: Vec<Rule>,
    /// What becomes of a container that breaks one.
    #[serde(default)]
    action: Action,
    /// Capabilities that may be added, beside those that an engine gives by itself.
    #[serde(default)]
    allow_capabilities: Vec<String>,
    /// Patterns of sources that may be mounted, such as `/etc/ssl/*`. In a pattern `*` stands for
    /// any text and `?` for one character.
    #[serde(default)]
    allow_mounts: Vec<String>,
    /// Containers that may break the rules for a while.
    #[serde(default)]
    exceptions: Exceptions,
}

/// What becomes of a container that breaks a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Action {
    /// Its services are not registered.
    #[default]
    Veto,
    /// Its services are tagged `hardened-<rule>`.
    Tag,
}

impl Stage for Hardened {
    type Settings = Settings;

    fn about() -> [&'static str; 3] {
        let summary = "Vetoes or tags containers that may do too much to their host.";
        ["hardened", env!("CARGO_PKG_VERSION"), summary]
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults = settings.exceptions.faults(now());
        if settings.rules.is_empty() {
            faults.push("rules: there is none, so that all would be allowed".into());
        }
        faults
    }

    fn process(
        settings: &Settings,
        container: &Container,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let breaches: Vec<_> =
            settings.rules.iter().filter_map(|rule| rule.breach(settings, container)).collect();
        if breaches.is_empty() {
            return Ok(all(services, |_| keep(Vec::new())));
        }
        let reason = breaches.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>().join("; ");
        let lifting = settings.exceptions.lifting(now(), |key| label(container, key))?;
        if let Some(exception) = lifting {
            let note = exception.note(&reason);
            logging::log(logging::Level::Info, &note);
            return Ok(all(services, |_| keep(vec![note.clone()])));
        }
        Ok(match settings.action {
            Action::Veto => all(services, |_| veto(&reason, breaches[0].rule.code())),
            Action::Tag => all(services, |service| tagged(service, &breaches, &reason)),
        })
    }
}

fn all(services: Vec<Service>, verdict: impl FnMut(Service) -> Verdict) -> Outcome {
    Outcome { verdicts: services.into_iter().map(verdict).collect(), added: Vec::new() }
}

fn tagged(mut service: Service, breaches: &[Breach], reason: &str) -> Verdict {
    for breach in breaches {
        let tag = format!("hardened-{}", breach.rule.code());
        if !service.tags.contains(&tag) {
            service.tags.push(tag);
        }
    }
    Verdict { decision: Decision::Replace(service), notes: vec![reason.into()] }
}
