//! Containers without the labels that an organisation wants are not
//! registered, and the reason names everything that is missing.
//!
//! ```toml
//! settings.labels = { owner = {}, team = { values = ["shop", "search"] } }
//! ```

use std::collections::BTreeMap;

use regex_lite::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_exceptions::{Exceptions, now};
use wharfinger_plugin::{
    Container, Description, HostFacts, Outcome, Service, Stage, Veto, description, logging,
};

/// The stage.
pub struct Require;

wharfinger_plugin::export!(Require);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The labels that a container needs, and what each of them may be.
    labels: BTreeMap<String, Wanted>,
    /// What is put after the reason, such as where the rule is explained.
    #[serde(default)]
    hint: String,
    /// Containers that may lack them for a while.
    #[serde(default)]
    exceptions: Exceptions,
}

/// What a label may be; by default anything that is not blank.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Wanted {
    /// The values that are allowed; any if there are none.
    values: Vec<String>,
    /// A regular expression of the whole value.
    matches: Option<String>,
    /// Labels of which any will do where this one is missing.
    or: Vec<String>,
    /// The label may be missing; if it is there, it must be right.
    optional: bool,
}

impl Stage for Require {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Vetoes containers that lack wanted labels.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults = settings.exceptions.faults(now());
        if settings.labels.is_empty() {
            faults.push("labels: there is none, so that nothing would be required".into());
        }
        for (key, wanted) in &settings.labels {
            if key.trim().is_empty() {
                faults.push("labels: a label's name is empty".into());
            }
            if let Err(error) = wanted.pattern() {
                faults.push(format!("labels, {key}, matches: {error}"));
            }
        }
        faults
    }

    fn process(
        settings: &Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let judged = settings.judge(container);
        if let Err(Veto { reason, .. }) = &judged
            && let Some(exception) =
                settings.exceptions.lifting(now(), |key| container.label(key))?
        {
            let note = exception.note(reason);
            logging::info(&*note);
            return Ok(Outcome::keep_all(services.len()).noting(&note));
        }
        Ok(Outcome::apply(services, |_| judged.clone()))
    }
}

impl Settings {
    fn judge(&self, container: &Container) -> Result<(), Veto> {
        let faults: Vec<String> =
            self.labels.iter().filter_map(|(key, wanted)| wanted.fault(key, container)).collect();
        match (faults.is_empty(), self.hint.trim()) {
            (true, _) => Ok(()),
            (false, "") => Err(Veto::new(faults.join("; "))),
            (false, hint) => Err(Veto::new(format!("{} ({hint})", faults.join("; ")))),
        }
    }
}

impl Wanted {
    /// What is wrong with a container's label.
    fn fault(&self, key: &str, container: &Container) -> Option<String> {
        let keys = std::iter::once(key).chain(self.or.iter().map(String::as_str));
        let found = keys.filter_map(|key| Some((key, container.label_set(key)?))).next();
        let Some((key, value)) = found else {
            let others: String = self.or.iter().map(|other| format!(" or {other}")).collect();
            return (!self.optional).then(|| format!("there is no label {key}{others}"));
        };
        if !self.values.is_empty() && !self.values.iter().any(|allowed| allowed == value) {
            return Some(format!("label {key}: {value:?} is none of {}", self.values.join(", ")));
        }
        // It was found valid before.
        let pattern = self.pattern().ok().flatten()?;
        let wanted = self.matches.as_deref().unwrap_or_default();
        (!pattern.is_match(value)).then(|| format!("label {key}: {value:?} is not like {wanted}"))
    }

    fn pattern(&self) -> Result<Option<Regex>, regex_lite::Error> {
        let whole = |pattern: &String| Regex::new(&format!("^(?:{pattern})$"));
        self.matches.as_ref().map(whole).transpose()
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::testing::{ContainerBuilder, container, faults, laws, run, service};

    use super::*;

    const RULES: &str = r#"{"labels": {
        "owner": {"or": ["maintainer"]},
        "team": {"values": ["shop", "search"]},
        "tier": {"matches": "gold|silver"},
        "cost": {"matches": "[0-9]+", "optional": true}
    }}"#;

    fn reason(settings: &str, container: &ContainerBuilder) -> Option<String> {
        let answer = run::<Require>(settings, container, vec![service("web", 80)]);
        answer.reasons().first().map(ToString::to_string)
    }

    fn right() -> ContainerBuilder {
        container("web").label("owner", "ann").label("team", "shop").label("tier", "gold")
    }

    fn check(container: ContainerBuilder, expected: &str) {
        assert_eq!(reason(RULES, &container).unwrap_or_default(), expected);
    }

    #[test]
    fn what_has_all_labels_is_kept() {
        check(right(), "");
        check(right().label("owner", " ").label("maintainer", "ann").label("cost", "12"), "");
    }

    #[test]
    fn the_reason_names_all_that_is_wrong() {
        check(
            container("web").label("tier", "golden").label("team", "Shop"),
            "there is no label owner or maintainer; label team: \"Shop\" is none of shop, search; \
             label tier: \"golden\" is not like gold|silver",
        );
        check(right().label("cost", "much"), "label cost: \"much\" is not like [0-9]+");
    }

    #[test]
    fn a_hint_follows_the_reason() {
        let settings = r#"{"labels": {"owner": {}}, "hint": "see wiki/labels"}"#;
        let reason = reason(settings, &container("web")).expect("there is no owner");
        assert_eq!(reason, "there is no label owner (see wiki/labels)");
    }

    #[test]
    fn settings_are_validated() {
        let refused = |settings: &str, words: &str| {
            let faults = faults::<Require>(settings).join("\n");
            assert!(faults.contains(words), "{settings}: {faults}");
        };
        refused("{}", "labels");
        refused(r#"{"labels": {}}"#, "there is none");
        refused(r#"{"labels": {" ": {}}}"#, "a label's name is empty");
        refused(r#"{"labels": {"a": {"matches": "("}}}"#, "labels, a, matches: ");
        refused(r#"{"labels": {"a": {"value": ["b"]}}}"#, "value");
    }

    #[test]
    fn it_keeps_the_laws() {
        assert!(laws::<Require>(RULES) > 100);
        assert!(laws::<Require>(r#"{"labels": {"team": {}}}"#) > 100);
    }
}
