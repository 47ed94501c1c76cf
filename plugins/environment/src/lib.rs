//! Staging and production kept apart: the environment of a container becomes
//! part of its services' names, or a tag, or metadata.
//!
//! ```toml
//! settings = { from = ["{label:environment}"], name = "suffix", plain = ["production"] }
//! ```

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharfinger_plugin::{
    Description, Facts, Policy, Service, Veto, description, dns,
    pattern::{self, Pattern},
    tags,
    template::{Fact, Template},
};

/// The stage.
pub struct Environment;

wharfinger_plugin::export!(Environment);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Templates of the environment's name. The first one counts of which all
    /// facts are known: `{label:environment}`, `{host|before(-)}`,
    /// `production`.
    from: Vec<Template>,
    /// The environments that there are, each with patterns of what it is
    /// called; its own name is one of them. Case does not matter. If there are
    /// none, every name is one.
    environments: BTreeMap<String, Vec<Pattern>>,
    /// What becomes of a service whose environment is not known.
    unknown: Unknown,
    /// Where the environment stands in the service's name.
    name: Place,
    /// The environments that do not stand in the name.
    plain: Vec<String>,
    /// What a tag begins with that ends with the environment, such as `env:`;
    /// without it there is no tag.
    tag: Option<String>,
    /// The key of the metadata that holds the environment.
    meta: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Unknown {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is not registered.
    Veto,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Place {
    /// `<name>-<environment>`.
    #[default]
    Suffix,
    /// `<environment>-<name>`.
    Prefix,
    /// Nowhere.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        let from = Template::parse("{label:environment}").expect("it is a template");
        Self {
            from: vec![from],
            environments: BTreeMap::new(),
            unknown: Unknown::Keep,
            name: Place::Suffix,
            plain: Vec::new(),
            tag: None,
            meta: None,
        }
    }
}

impl Policy for Environment {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Separates environments by name, tag or metadata.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults = Vec::new();
        if settings.from.is_empty() {
            faults.push("from: there is no template, so that no environment would be known".into());
        }
        let feedback =
            settings.from.iter().any(|template| template.facts().any(|fact| *fact == Fact::Name));
        if feedback {
            faults.push("from: the environment cannot depend on {name}, which it changes".into());
        }
        for name in settings.environments.keys().filter(|name| dns::label(name) != **name) {
            faults.push(format!(
                "environments, {name}: small letters, digits and hyphens are wanted"
            ));
        }
        let known = |name: &&String| !settings.environments.contains_key(*name);
        if !settings.environments.is_empty() {
            for name in settings.plain.iter().filter(known) {
                faults.push(format!("plain: {name} is none of the environments"));
            }
        }
        if settings.name == Place::None && settings.tag.is_none() && settings.meta.is_none() {
            faults.push("name, tag, meta: one of them is needed to tell environments apart".into());
        }
        faults
    }

    fn apply(settings: &Settings, facts: Facts, service: &mut Service) -> Result<(), Veto> {
        let found = match environment(settings, facts, service) {
            Ok(found) => found,
            Err(_) if settings.unknown == Unknown::Keep => return Ok(()),
            Err(reason) => return Err(Veto::new(reason)),
        };
        if !settings.plain.contains(&found) {
            service.name = match settings.name {
                Place::Suffix => dns::suffixed(&service.name, &found),
                Place::Prefix => dns::prefixed(&found, &service.name),
                Place::None => service.name.clone(),
            };
        }
        if let Some(prefix) = &settings.tag {
            tags::add(&mut service.tags, format!("{prefix}{found}"));
        }
        if let Some(key) = &settings.meta {
            service.set_meta(key, found);
        }
        Ok(())
    }
}

/// The environment's name, or why it is not known.
fn environment(settings: &Settings, facts: Facts, service: &Service) -> Result<String, String> {
    let said = settings.from.iter().find_map(|template| template.render(facts, service).ok());
    let said = said.ok_or("nothing says which environment the container belongs to")?;
    let lower = said.trim().to_lowercase();
    if settings.environments.is_empty() {
        let name = dns::label(&lower);
        return if name.is_empty() { Err(format!("{said:?} is no environment")) } else { Ok(name) };
    }
    let is = |(name, patterns): &(&String, &Vec<Pattern>)| {
        **name == lower || pattern::any(patterns, &lower)
    };
    let names: Vec<&str> = settings.environments.keys().map(String::as_str).collect();
    match settings.environments.iter().find(is) {
        Some((name, _)) => Ok(name.clone()),
        None => Err(format!("{said:?} is none of the environments {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::testing::{answer, container, faults, host, laws, run, service, tagged};

    use super::*;

    const TWO: &str = r#""environments": {"production": ["prod*", "live"], "staging": ["stag*"]}"#;

    fn names(settings: &str, environment: &str) -> Vec<String> {
        let web = container("web").label("environment", environment);
        let proposed = vec![service("web", 80), service(&format!("api-{environment}"), 81)];
        let answer = run::<Environment>(settings, &web, proposed);
        answer.services.iter().map(|service| service.name.clone()).collect()
    }

    #[test]
    fn the_environment_stands_in_the_name_once() {
        assert_eq!(names("{}", "staging"), ["web-staging", "api-staging"]);
        assert_eq!(names("{}", "Blue Lab"), ["web-blue-lab", "api-Blue Lab-blue-lab"]);
        assert_eq!(names(r#"{"name": "prefix"}"#, "qa"), ["qa-web", "qa-api-qa"]);
        assert_eq!(names(r#"{"plain": ["live"]}"#, "live"), ["web", "api-live"]);
    }

    #[test]
    fn environments_have_several_names() {
        let settings = format!(r#"{{{TWO}, "plain": ["production"]}}"#);
        assert_eq!(names(&settings, "Staging-2"), ["web-staging", "api-Staging-2-staging"]);
        assert_eq!(names(&settings, "LIVE"), ["web", "api-LIVE"]);
        assert_eq!(names(&settings, "moon"), ["web", "api-moon"]);
    }

    #[test]
    fn an_unknown_one_can_be_vetoed() {
        let settings = format!(r#"{{{TWO}, "unknown": "veto"}}"#);
        let reason = |container: &_| {
            let answer = run::<Environment>(&settings, container, vec![service("web", 80)]);
            answer.reasons().join("|")
        };
        assert_eq!(
            reason(&container("web").label("environment", "moon")),
            "\"moon\" is none of the environments production, staging"
        );
        assert_eq!(
            reason(&container("web")),
            "nothing says which environment the container belongs to"
        );
    }

    #[test]
    fn the_host_can_say_it_by_tag_and_metadata() {
        let settings = r#"{
            "from": ["{label:env}", "{flag:env}", "{host|before(-)}"],
            "name": "none", "tag": "env:", "meta": "environment"
        }"#;
        let ask = |host: &_| {
            answer::<Environment>(
                settings,
                &container("web"),
                host,
                vec![tagged("web", 80, &["a"])],
            )
            .expect("an answer")
        };
        let found = ask(&host("staging-7").build());
        assert_eq!(found.tags(), [["a", "env:staging"]]);
        assert_eq!(found.one().meta("environment"), Some("staging"));
        assert_eq!(ask(&host("staging-7").flag("env", "qa").build()).tags(), [["a", "env:qa"]]);
    }

    #[test]
    fn settings_are_validated() {
        let refused = |settings: &str, words: &str| {
            let faults = faults::<Environment>(settings).join("\n");
            assert!(faults.contains(words), "{settings}: {faults}");
        };
        refused(r#"{"from": []}"#, "from: there is no template");
        refused(r#"{"from": ["{name}"]}"#, "cannot depend on {name}");
        refused(r#"{"name": "none"}"#, "one of them is needed");
        refused(r#"{"environments": {"Prod": []}}"#, "environments, Prod: small letters");
        refused(&format!(r#"{{{TWO}, "plain": ["qa"]}}"#), "plain: qa is none of the environments");
        assert_eq!(faults::<Environment>("{}"), [""; 0]);
    }

    #[test]
    fn it_keeps_the_laws() {
        for settings in [
            r#"{"from": ["{label:env}"]}"#,
            r#"{"from": ["{label:env}", "{flag:environment}"], "name": "prefix", "tag": "e="}"#,
            &format!(r#"{{"from": ["{{label:env}}"], {TWO}, "unknown": "veto", "meta": "env"}}"#),
        ] {
            assert!(laws::<Environment>(settings) > 50, "{settings}");
        }
    }
}
