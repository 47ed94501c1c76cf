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

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{Description, Facts, Policy, Service, Veto, description, dns, tags};

/// The stage.
pub struct Convention;

wharfinger_plugin::export!(Convention);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
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

impl Policy for Convention {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Names services <team>-<app>, tags them, and vetoes what has no owner.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        [("owner-label", &settings.owner_label), ("team-label", &settings.team_label)]
            .into_iter()
            .filter(|(_, label)| label.trim().is_empty())
            .map(|(key, _)| format!("{key}: a label's name is needed"))
            .collect()
    }

    fn apply(settings: &Settings, facts: Facts, service: &mut Service) -> Result<(), Veto> {
        let Settings { owner_label, team_label, tag } = settings;
        let label = |key| facts.container.label_set(key);
        label(owner_label).ok_or(format!("the container has no label {owner_label}"))?;
        if let Some(team) = label(team_label) {
            service.name = dns::prefixed(team, &service.name);
        }
        if !tag.is_empty() {
            tags::add(&mut service.tags, tag);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::testing::{container, faults, laws, run, tagged};

    use super::*;

    #[test]
    fn a_name_gets_its_team_and_a_tag_once() {
        let web = container("web").label("owner", "ann").label("team", " shop ");
        let proposed = vec![tagged("web", 80, &[]), tagged("shop-api", 81, &["convention"])];
        let answer = run::<Convention>("{}", &web, proposed);
        assert_eq!(answer.names(), ["shop-web", "shop-api"]);
        assert_eq!(answer.tags(), [["convention"], ["convention"]]);
    }

    #[test]
    fn what_has_no_owner_is_vetoed() {
        let web = container("web").label("owner", " ");
        let answer = run::<Convention>("{}", &web, vec![tagged("web", 80, &[])]);
        assert_eq!(answer.reasons(), ["the container has no label owner"]);
    }

    #[test]
    fn settings_are_validated() {
        assert_eq!(faults::<Convention>("{}"), [""; 0]);
        assert!(faults::<Convention>(r#"{"owner-lable": "x"}"#)[0].contains("owner-lable"));
        assert!(faults::<Convention>(r#"{"team-label": " "}"#)[0].contains("team-label"));
    }

    #[test]
    fn it_keeps_the_laws() {
        assert!(laws::<Convention>(r#"{"owner-label": "team"}"#) > 100);
    }
}
