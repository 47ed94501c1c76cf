//! Where Podman, which speaks Docker's API, says something else than Docker.
//!
//! Source: Podman 4.3's answers, which `tests/docker/podman.rs` asks for again.

use std::collections::HashMap;

use bollard::{errors::Error, models::ContainerInspectResponse};
use serde_json::{Value, json};

/// Podman's own names of states, which its compatible answers mostly, but not in
/// every version and moment, replace by Docker's.
const STATES: [(&str, &str); 4] =
    [("configured", "created"), ("initialized", "created"), ("stopped", "exited"), ("unknown", "")];

/// The answer with a state that Docker has a name for; none if the error is
/// about anything else.
pub(super) fn inspected(error: &Error) -> Option<ContainerInspectResponse> {
    let Error::JsonDataError { contents, .. } = error else { return None };
    let mut answer: Value = serde_json::from_str(contents).ok()?;
    let state = answer.pointer_mut("/State/Status")?;
    let (_, docker) = STATES.iter().find(|(podman, _)| state.as_str() == Some(podman))?;
    *state = json!(docker);
    serde_json::from_value(answer).ok()
}

/// Whether an event of a network is Podman's, whose actor is the container and
/// not the network. Docker's have neither attribute.
pub(super) fn is_about_container(attributes: &HashMap<String, String>) -> bool {
    attributes.contains_key("podId") || attributes.contains_key("containerExitCode")
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerStateStatusEnum as Status;

    use super::*;

    fn check(contents: &str, expected: Option<Status>) {
        let error = Error::JsonDataError {
            message: "unknown variant".into(),
            contents: contents.into(),
            column: 1,
        };
        let state = inspected(&error).and_then(|answer| answer.state?.status);
        assert_eq!(state, expected, "{contents}");
    }

    #[test]
    fn states_have_other_names() {
        check(r#"{ "State": { "Status": "initialized" } }"#, Some(Status::CREATED));
        check(r#"{ "State": { "Status": "stopped" } }"#, Some(Status::EXITED));
        check(r#"{ "State": { "Status": "unknown" } }"#, Some(Status::EMPTY));
        // What is wrong otherwise stays an error.
        check(r#"{ "State": { "Status": "levitating" } }"#, None);
        check(r#"{ "State": { "Status": "stopped", "Pid": "x" } }"#, None);
        check(r#"{ "State": "#, None);
        assert!(inspected(&Error::RequestTimeoutError).is_none());
    }
}
