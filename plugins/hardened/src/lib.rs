//! Containers that may do more to their host than an organisation wants are vetoed, or tagged: by
//! user, privileges, capabilities, mounts, a writable root and images that no digest pins.
//!
//! ```toml
//! settings.rules = ["root", "privileged", "capabilities", "mounts"]
//! ```

mod rules;

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_exceptions::{Exceptions, now};
use wharfinger_plugin::{
    Container, Description, HostFacts, Outcome, Service, Stage, Verdict, Veto, Wants, description,
    logging,
};

use rules::{Breach, Rule};

/// The stage.
pub struct Hardened;

wharfinger_plugin::export!(Hardened);

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

    fn describe() -> Description {
        description!("Vetoes or tags containers that may do too much to their host.")
            .wanting(Wants::SETUP)
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
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let setup = container.setup()?;
        let breach = |rule: &Rule| rule.breach(settings, container, setup);
        let breaches: Vec<_> = settings.rules.iter().filter_map(breach).collect();
        let count = services.len();
        if breaches.is_empty() {
            return Ok(Outcome::keep_all(count));
        }
        let reason = breaches.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>().join("; ");
        let lifting = settings.exceptions.lifting(now(), |key| container.label(key))?;
        if let Some(exception) = lifting {
            let note = exception.note(&reason);
            logging::info(&*note);
            return Ok(Outcome::keep_all(count).noting(&note));
        }
        Ok(match settings.action {
            Action::Veto => {
                Outcome::veto_all(count, Veto::new(reason).with_code(breaches[0].rule.code()))
            }
            Action::Tag => Outcome::each(services, |service| tagged(service, &breaches, &reason)),
        })
    }
}

fn tagged(mut service: Service, breaches: &[Breach], reason: &str) -> Verdict {
    for breach in breaches {
        let tag = format!("hardened-{}", breach.rule.code());
        if !service.tags.contains(&tag) {
            service.tags.push(tag);
        }
    }
    Verdict::replace(service).noting(reason)
}
