//! Containers that name an exception by a label are registered for as long as it counts: until its
//! date, and never without somebody who allowed it.
//!
//! ```toml
//! settings.exceptions = [{ label = "exception", value = "t-1", until = "2027-03-31", who = "ann", why = "…" }]
//! grant.clock = true
//! ```

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_exceptions::{Exceptions, now};
use wharfinger_plugin::{
    Container, Description, HostFacts, Outcome, Service, Stage, Veto, description, logging,
};

/// The stage.
pub struct Expire;

wharfinger_plugin::export!(Expire);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The exceptions that were allowed.
    exceptions: Exceptions,
    /// What becomes of a container with a label of an exception and a value that none has.
    #[serde(default)]
    unlisted: Unlisted,
}

/// What becomes of a container that names an exception which nobody allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Unlisted {
    /// Its services are not registered.
    #[default]
    Veto,
    /// It is none of this stage's business.
    Keep,
}

impl Stage for Expire {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Vetoes containers whose exception has ended.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults = settings.exceptions.faults(now());
        if settings.exceptions.is_empty() {
            faults.push("exceptions: there is none, so that nothing would end".into());
        }
        faults
    }

    fn process(
        settings: &Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let judged = judge(settings, container, now())?;
        Ok(Outcome::apply(services, |_| judged.clone()))
    }
}

fn judge(settings: &Settings, container: &Container, now: u64) -> Result<Result<(), Veto>, String> {
    let exceptions = &settings.exceptions;
    let label = |key: &str| container.label(key);
    if let Some(exception) = exceptions.lifting(now, label)? {
        logging::info(exception.note("registered"));
        return Ok(Ok(()));
    }
    if let Some(ended) = exceptions.of(label).max_by_key(|one| one.until) {
        let (label, value, until) = (&ended.label, &ended.value, ended.until);
        let reason = format!(
            "the exception {label}={value} ended with {until}; {} had allowed it: {}",
            ended.who, ended.why
        );
        return Ok(Err(Veto::new(reason)));
    }
    let named = exceptions.iter().find_map(|one| Some((&one.label, label(&one.label)?)));
    Ok(match (named, settings.unlisted) {
        (Some((key, value)), Unlisted::Veto) => {
            Err(Veto::new(format!("nobody has allowed the exception {key}={value}")))
        }
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use wharfinger_exceptions::Date;
    use wharfinger_plugin::testing::container;

    use super::*;

    const RULES: &str = r#"{"exceptions": [
        {"label": "exception", "value": "t-1", "until": "2027-03-31", "who": "ann", "why": "w"},
        {"label": "exception", "value": "t-2", "until": "2026-01-01", "who": "bob", "why": "x"}
    ]}"#;

    fn check(labels: &[(&str, &str)], expected: &str) {
        let settings: Settings = serde_json::from_str(RULES).expect("settings");
        let mut one = container("web");
        for (key, value) in labels {
            one = one.label(key, value);
        }
        let now = Date::parse("2027-01-01").expect("a day").begins();
        let judged = judge(&settings, &one.build(), now).expect("it is known");
        let said = judged.err().map(|veto| veto.reason).unwrap_or_default();
        match expected {
            "" => assert_eq!(said, ""),
            part => assert!(said.contains(part), "{said:?}"),
        }
    }

    #[test]
    fn an_exception_counts_until_its_date_and_only_if_somebody_allowed_it() {
        check(&[], "");
        check(&[("exception", "t-1")], "");
        check(
            &[("exception", "t-2")],
            "exception=t-2 ended with 2026-01-01; bob had allowed it: x",
        );
        check(&[("exception", "t-3")], "nobody has allowed the exception exception=t-3");
        check(&[("app", "t-2")], "");
    }
}
