//! Keeps every service as it is.

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{Container, Description, HostFacts, Outcome, Service, Stage, description};

/// The stage.
pub struct TeamNaming;

wharfinger_plugin::export!(TeamNaming);

/// What the operator can set: nothing yet.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

impl Stage for TeamNaming {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Keeps every service as it is.")
    }

    fn process(
        _settings: &Settings,
        _container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        Ok(Outcome::keep_all(services.len()))
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::testing::{container, faults, laws, run, service};

    use super::*;

    #[test]
    fn services_stay_as_they_are() {
        let answer = run::<TeamNaming>("{}", &container("web"), vec![service("web", 8080)]);
        assert_eq!(answer.names(), ["web"]);
    }

    #[test]
    fn a_setting_that_there_is_not_is_a_fault() {
        assert!(faults::<TeamNaming>(r#"{"lable": "x"}"#)[0].contains("lable"));
    }

    #[test]
    fn it_keeps_what_every_stage_should() {
        assert!(laws::<TeamNaming>("{}") > 0);
    }
}
