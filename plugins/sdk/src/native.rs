//! Calling a stage without WebAssembly: for tests, and for the stage that is
//! linked into the daemon.

use std::cell::RefCell;

use crate::{Container, Description, HostFacts, Outcome, Service, Stage, logging::Level, schema};

thread_local! {
    static MESSAGES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// What a call returned, and the messages that it wrote meanwhile.
#[derive(Debug)]
pub struct Called<T> {
    /// What the call returned.
    pub result: T,
    /// The messages in the order in which they were written.
    pub messages: Vec<(Level, String)>,
}

/// What the stage says of itself, with the schema of its settings.
pub fn describe<S: Stage>() -> Description {
    let mut description = S::describe();
    if description.settings_schema.is_none() {
        description.settings_schema = schema::of::<S::Settings>();
    }
    description
}

/// Validate settings, given as JSON, as the daemon does when it loads the
/// stage.
///
/// # Errors
///
/// Every fault, one line of text each.
pub fn validate_settings<S: Stage>(settings: &str) -> Result<(), Vec<String>> {
    let settings = parse::<S>(settings).map_err(|error| vec![error])?;
    let faults = S::validate(&settings);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Call [`Stage::process`] with settings in JSON, and collect what it logs.
pub fn process<S: Stage>(
    settings: &str,
    container: &Container,
    host: &HostFacts,
    services: Vec<Service>,
) -> Called<Result<Outcome, String>> {
    MESSAGES.with_borrow_mut(Vec::clear);
    let result = call::<S>(settings, container, host, services);
    Called { result, messages: MESSAGES.take() }
}

pub(crate) fn call<S: Stage>(
    settings: &str,
    container: &Container,
    host: &HostFacts,
    services: Vec<Service>,
) -> Result<Outcome, String> {
    S::process(&parse::<S>(settings)?, container, host, services)
}

#[cfg_attr(target_family = "wasm", allow(dead_code))]
pub(crate) fn capture(level: Level, message: String) {
    MESSAGES.with_borrow_mut(|messages| messages.push((level, message)));
}

fn parse<S: Stage>(settings: &str) -> Result<S::Settings, String> {
    let mut json = serde_json::Deserializer::from_str(settings);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let fault = said(error.inner());
        // An unknown key is named by the error itself.
        if path == "." || fault.starts_with("unknown field") && !path.contains(['.', '[']) {
            fault
        } else {
            format!("{path}: {fault}")
        }
    })
}

/// The error without its place in the JSON, of which the operator, who writes
/// TOML, knows nothing.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Description, Facts, Policy, Service, Veto};

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        /// Rules.
        #[allow(dead_code)]
        rules: Vec<Rule>,
    }

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        /// Ports.
        #[allow(dead_code)]
        ports: Vec<u16>,
    }

    struct Ruled;

    impl Policy for Ruled {
        type Settings = Settings;

        fn describe() -> Description {
            Description::new("ruled", "1.0.0", "Has rules.")
        }

        fn apply(_: &Settings, _: Facts, _: &mut Service) -> Result<(), Veto> {
            Ok(())
        }
    }

    fn check(settings: &str, expected: &str) {
        let faults = validate_settings::<Ruled>(settings).expect_err(settings);
        assert_eq!(faults, [expected], "{settings}");
    }

    #[test]
    fn a_fault_of_the_settings_names_the_key() {
        assert_eq!(validate_settings::<Ruled>(r#"{"rules": [{"ports": [1]}]}"#), Ok(()));
        check("{}", "missing field `rules`");
        check(r#"{"rule": []}"#, "unknown field `rule`, expected `rules`");
        check(
            r#"{"rules": [{"ports": [1, "x"]}]}"#,
            "rules[0].ports[1]: invalid type: string \"x\", expected u16",
        );
        check(
            r#"{"rules": [{"port": 1}]}"#,
            "rules[0].port: unknown field `port`, expected `ports`",
        );
    }

    #[test]
    fn the_schema_of_the_settings_is_part_of_the_description() {
        let schema = describe::<Ruled>().settings_schema.expect("settings have a schema");
        let schema: serde_json::Value = serde_json::from_str(&schema).expect("it is JSON");
        assert_eq!(schema["properties"]["rules"]["description"], "Rules.");
        assert_eq!(schema["required"], serde_json::json!(["rules"]));
        assert_eq!(crate::schema::of::<serde_json::Value>(), None);
    }
}
