//! Where Podman, which speaks Docker's API, says something else than Docker.
//!
//! Source: Podman 4.3's answers, which `tests/docker/podman.rs` asks for again.

use std::{collections::HashMap, time::Duration};

use bollard::models::SystemVersion;
use serde_json::{Value, json};

/// Podman's own names of states, which its compatible answers mostly, but not in
/// every version and moment, replace by Docker's.
const STATES: [(&str, &str); 4] =
    [("configured", "created"), ("initialized", "created"), ("stopped", "exited"), ("unknown", "")];

/// Give the state of a container the name that Docker has for it.
pub(super) fn rename_state(answer: &mut Value) {
    let Some(state) = answer.pointer_mut("/State/Status") else { return };
    let known = STATES.iter().find(|(podman, _)| state.as_str() == Some(podman));
    if let Some((_, docker)) = known {
        *state = json!(docker);
    }
}

/// The pauses after which Podman is asked again when it has stumbled over a
/// removal.
pub(super) const PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(500)];

/// Whether it is Podman that gives this answer to `/version`. Source:
/// `pkg/api/handlers/compat/version.go`.
pub(super) fn made(version: &SystemVersion) -> bool {
    let components = version.components.iter().flatten();
    components.into_iter().any(|component| component.name.starts_with("Podman"))
}

/// A removal, as an internal error (500) of Podman tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// The container that was asked for is gone: a 404 in other words.
    Gone,
    /// Some container is being removed, and it is not said which.
    UnderWay,
}

/// Whether a message says that a container was removed while it was looked at;
/// none if it says anything else.
///
/// Podman looks a container up, for which it answers with 404, and reads it
/// afterwards, for which it answers everything with 500 and a text
/// (`GetContainer` in `pkg/api/handlers/compat/containers.go`). So the text is the
/// only way to tell. It ends with the error's own words, `ErrNoSuchCtr` or
/// `ErrCtrRemoved` of `libpod/define/errors.go`, after words that may name the
/// container: `no container with ID … found in database` (`libpod/sqlite_state.go`),
/// `… in DB`, `container … not found in DB` (`libpod/boltdb_state_internal.go`),
/// `container … is not valid` (`libpod/container_internal.go`). The container named
/// may be another one, on which the asked one depends, and that one may be there
/// all the same; then, and for what the storage says meanwhile (`ErrContainerUnknown`
/// and `ErrLayerUnknown` of containers/storage), only a further question tells.
pub(super) fn removal(message: &str, id: &str) -> Option<Removal> {
    let message = message.trim_end().trim_end_matches('.');
    let over = ["no such container", "container has already been removed"];
    let meanwhile = ["container not known", "layer not known", "container state improper"];
    if let Some(words) = over.iter().find_map(|end| message.strip_suffix(end)) {
        let dependency = words.contains("depend");
        let named = id.len() >= 12 && words.contains(id);
        return Some(if named && !dependency { Removal::Gone } else { Removal::UnderWay });
    }
    meanwhile.iter().any(|end| message.ends_with(end)).then_some(Removal::UnderWay)
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
    use crate::docker::odd;

    fn check(contents: &str, expected: Option<Status>) {
        let answer = serde_json::from_str(contents).expect("JSON");
        let response = odd::inspected(answer, false).ok();
        let state = response.and_then(|response| response.state?.status);
        assert_eq!(state, expected, "{contents}");
    }

    #[test]
    fn states_have_other_names() {
        check(r#"{ "State": { "Status": "initialized" } }"#, Some(Status::CREATED));
        check(r#"{ "State": { "Status": "configured" } }"#, Some(Status::CREATED));
        check(r#"{ "State": { "Status": "stopped" } }"#, Some(Status::EXITED));
        check(r#"{ "State": { "Status": "stopping" } }"#, Some(Status::STOPPING));
        check(r#"{ "State": { "Status": "unknown" } }"#, Some(Status::EMPTY));
        // What is wrong beside it is not its fault.
        check(r#"{ "State": { "Status": "stopped", "Pid": "x" } }"#, Some(Status::EXITED));
        check(r#"{ "State": { "Status": "levitating" } }"#, None);
    }

    #[test]
    fn a_removal_is_told_by_words() {
        let (id, other) = ("a".repeat(64), "b".repeat(64));
        for (message, expected) in [
            ("no container with ID {} found in database: no such container", Removal::Gone),
            ("no container with ID {} found in DB: no such container", Removal::Gone),
            ("container {} not found in DB: no such container", Removal::Gone),
            ("container {} does not exist in database: no such container", Removal::Gone),
            ("no container with name or ID \"{}\" found: no such container", Removal::Gone),
            ("container {} is not valid: container has already been removed", Removal::Gone),
            (
                "container {} is not valid - may have been removed: container has already been \
                 removed",
                Removal::Gone,
            ),
            ("getting graph driver info \"{}\": layer not known", Removal::UnderWay),
            ("error looking up container {}: container not known", Removal::UnderWay),
            ("container has already been removed", Removal::UnderWay),
            ("no such container", Removal::UnderWay),
            (
                "container dependency {} does not exist in database: no such container",
                Removal::UnderWay,
            ),
            (
                "container {} depends on container x, but it does not exist in the DB: no such \
                 container",
                Removal::UnderWay,
            ),
        ] {
            let found = removal(&message.replace("{}", &id), &id);
            assert_eq!(found, Some(expected), "{message}");
            // That another one is gone says nothing of this one.
            let found = removal(&message.replace("{}", &other), &id);
            assert_eq!(found, Some(Removal::UnderWay), "{message}");
        }
        for message in [
            "database is locked",
            "no such container: but for the image",
            "no such network",
            "no such image",
            "runtime error: no such container here",
            "",
        ] {
            assert_eq!(removal(message, &id), None, "{message}");
        }
        // A name may be part of any message.
        assert_eq!(removal("container a: no such container", "a"), Some(Removal::UnderWay));
    }
}
