//! Names services `<team>-<app>`, where a label of the container names the team.

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{
    Container, Description, HostFacts, Outcome, Service, Stage, description, logging,
};

/// The stage.
pub struct TeamNaming;

wharfinger_plugin::export!(TeamNaming);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The label that names the team.
    label: String,
    /// What stands between the team and the application.
    separator: String,
    /// Whether a container without the label is vetoed.
    required: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { label: "team".into(), separator: "-".into(), required: false }
    }
}

impl Stage for TeamNaming {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Names services <team>-<app>.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        [("label", &settings.label), ("separator", &settings.separator)]
            .into_iter()
            .filter(|(_, value)| value.trim().is_empty())
            .map(|(key, _)| format!("{key}: must not be empty"))
            .collect()
    }

    fn process(
        settings: &Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let Settings { label, separator, required } = settings;
        let team = container.label(label).map(str::trim);
        if team == Some("") {
            logging::warn(format!("the label {label} is empty"));
        }
        Ok(match team.filter(|team| !team.is_empty()) {
            Some(team) => Outcome::apply(services, |service| {
                rename(&format!("{team}{separator}"), service);
                Ok(())
            }),
            None if *required => {
                Outcome::veto_all(services.len(), &format!("the container has no label {label}"))
            }
            None => Outcome::keep_all(services.len()),
        })
    }
}

/// `<team>-<app>`; a name that already is of that form stays.
fn rename(prefix: &str, service: &mut Service) {
    if !service.name.starts_with(prefix) {
        service.name.insert_str(0, prefix);
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::testing::{Answer, container, faults, laws, run, service};

    use super::*;

    fn answer(settings: &str, labels: &[(&str, &str)], name: &str) -> Answer {
        let web = labels.iter().fold(container("web"), |web, (key, value)| web.label(key, value));
        run::<TeamNaming>(settings, &web, vec![service(name, 8080)])
    }

    #[test]
    fn a_service_is_named_after_team_and_application() {
        let check = |settings, labels: &[_], expected| {
            assert_eq!(answer(settings, labels, "web").names(), [expected]);
        };
        check("{}", &[("team", "shop")], "shop-web");
        check("{}", &[("team", " shop ")], "shop-web");
        check(r#"{"separator": "."}"#, &[("team", "shop")], "shop.web");
        check(r#"{"label": "org.team"}"#, &[("team", "shop"), ("org.team", "pay")], "pay-web");
    }

    #[test]
    fn a_name_that_is_right_already_stays() {
        assert_eq!(answer("{}", &[("team", "shop")], "shop-web").names(), ["shop-web"]);
    }

    #[test]
    fn a_container_without_the_label_keeps_its_names_or_is_vetoed() {
        let kept = answer("{}", &[("owner", "shop")], "web");
        assert_eq!((kept.names(), kept.messages.len()), (vec!["web"], 0));
        let empty = answer("{}", &[("team", " ")], "web");
        assert_eq!(empty.names(), ["web"]);
        assert_eq!(empty.messages, ["warn: the label team is empty"]);
        let vetoed = answer(r#"{"required": true}"#, &[], "web");
        assert_eq!(vetoed.reasons(), ["the container has no label team"]);
    }

    #[test]
    fn faults_of_the_settings_are_said() {
        assert!(faults::<TeamNaming>("{}").is_empty());
        let empty = faults::<TeamNaming>(r#"{"label": "", "separator": " "}"#);
        assert_eq!(empty, ["label: must not be empty", "separator: must not be empty"]);
        assert!(faults::<TeamNaming>(r#"{"lable": "x"}"#)[0].contains("lable"));
    }

    #[test]
    fn it_keeps_what_every_stage_should() {
        assert!(laws::<TeamNaming>(r#"{"required": true}"#) > 0);
    }
}
