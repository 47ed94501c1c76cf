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
    serde_json::from_str(settings).map_err(|error| error.to_string())
}
