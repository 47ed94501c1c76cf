//! An organisation's convention in one stage: every container has an owner, or
//! it is not registered; services are named `<team>-<app>`; and a tag says who
//! wrote the name.
//!
//! ```toml
//! [[pipeline]]
//! name = "convention"
//! file = "plugins/dist/wharfinger_convention.wasm"
//! settings = { owner-label = "com.example.owner", tag = "managed" }
//! ```

use serde::Deserialize;
use wharfinger_plugin::{Container, Description, HostFacts, Outcome, Service, Stage, Verdict};

/// The stage.
pub struct Convention;

wharfinger_plugin::export!(Convention);

/// What the operator can set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// The label that names the owner. A container without it is vetoed.
    owner_label: String,
    /// The label that names the team. Services of a container without it keep
    /// their names.
    team_label: String,
    /// A tag that every service gets; none if it is empty.
    tag: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { owner_label: "owner".into(), team_label: "team".into(), tag: "convention".into() }
    }
}

impl Stage for Convention {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            "convention",
            env!("CARGO_PKG_VERSION"),
            "Names services <team>-<app>, tags them, and vetoes what has no owner.",
        )
    }

    fn validate(settings: &Settings) -> Vec<String> {
        [("owner-label", &settings.owner_label), ("team-label", &settings.team_label)]
            .into_iter()
            .filter(|(_, label)| label.trim().is_empty())
            .map(|(key, _)| format!("{key}: a label's name is needed"))
            .collect()
    }

    fn process(
        settings: &Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let set = |label| container.label(label).map(str::trim).filter(|value| !value.is_empty());
        if set(&settings.owner_label).is_none() {
            let reason = format!("the container has no label {}", settings.owner_label);
            return Ok(Outcome::veto_all(services.len(), &reason));
        }
        let team = set(&settings.team_label);
        Ok(Outcome::each(services, |mut service| {
            if let Some(team) = team {
                service.name = named(team, &service.name);
            }
            if !settings.tag.is_empty() && !service.tags.contains(&settings.tag) {
                service.tags.push(settings.tag.clone());
            }
            Verdict::Replace(service)
        }))
    }
}

/// `<team>-<app>`; a name that already is of that form stays.
fn named(team: &str, app: &str) -> String {
    let prefix = format!("{team}-");
    if app.starts_with(&prefix) { app.to_string() } else { prefix + app }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::native;

    use super::*;

    #[test]
    fn a_name_is_prefixed_once() {
        assert_eq!(named("shop", "web"), "shop-web");
        assert_eq!(named("shop", "shop-web"), "shop-web");
    }

    #[test]
    fn settings_are_validated() {
        assert_eq!(native::validate_settings::<Convention>("{}"), Ok(()));
        let fault = native::validate_settings::<Convention>(r#"{"owner-lable": "x"}"#);
        assert!(fault.expect_err("the key is misspelt")[0].contains("owner-lable"));
        assert!(native::validate_settings::<Convention>(r#"{"team-label": " "}"#).is_err());
    }
}
